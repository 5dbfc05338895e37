package io.migrationd.migrationd.guest.qemu;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A QEMU guest that this host may run: what an administrator wrote to {@code guests.d/NAME.toml}.
 *
 * @param qmp where its QEMU's monitor is, also after the guest has arrived here
 * @param incoming how it may arrive here; without it, it cannot
 */
public record GuestDefinition(
        String name, Path file, UUID uuid, Path qmp, Optional<Incoming> incoming, MoveDefaults move) {
    /** What stands between braces and looks like a word; JSON objects in arguments do not. */
    static final Pattern PLACEHOLDER = Pattern.compile("\\{([a-z][a-z-]*)}");

    /** The placeholders of an argv. */
    static final List<String> PLACEHOLDERS = List.of("qmp", "name", "uuid", "run");

    /** How the destination's QEMU comes to be. */
    public sealed interface Incoming {
        /** The daemon starts it with these arguments, after {@link GuestDefinition#commandLine}. */
        record Start(List<String> argv) implements Incoming {}

        /** Somebody else has started it with {@code -incoming defer -S}; its monitor is there. */
        record Waiting(Path qmp) implements Incoming {}
    }

    /**
     * The command line of the destination's QEMU: the template, with its placeholders filled in, and behind it what it
     * does not say itself of {@code -name}, {@code -uuid}, {@code -qmp}, and always {@code -S -incoming defer}.
     *
     * @param run the guest's run directory
     */
    List<String> commandLine(Incoming.Start start, Path run) {
        Map<String, String> values =
                Map.of("qmp", qmp.toString(), "name", name, "uuid", uuid.toString(), "run", run.toString());
        List<String> command = new ArrayList<>();
        start.argv()
                .forEach(argument -> command.add(PLACEHOLDER
                        .matcher(argument)
                        .replaceAll(match -> Matcher.quoteReplacement(values.get(match.group(1))))));
        if (!start.argv().contains("-name")) {
            command.addAll(List.of("-name", name));
        }
        if (!start.argv().contains("-uuid")) {
            command.addAll(List.of("-uuid", uuid.toString()));
        }
        if (start.argv().stream().noneMatch(argument -> argument.contains("{qmp}"))) {
            command.addAll(List.of("-qmp", "unix:%s,server=on,wait=off".formatted(qmp)));
        }
        if (!start.argv().contains("-S")) {
            command.add("-S");
        }
        command.addAll(List.of("-incoming", "defer"));
        return List.copyOf(command);
    }
}
