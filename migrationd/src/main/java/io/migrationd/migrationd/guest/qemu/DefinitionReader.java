package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.guest.qemu.MoveDefaults.AfterSuccess;
import io.migrationd.migrationd.guest.qemu.MoveDefaults.PostcopyUse;
import java.nio.charset.StandardCharsets;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.tomlj.Toml;
import org.tomlj.TomlArray;
import org.tomlj.TomlParseError;
import org.tomlj.TomlParseResult;
import org.tomlj.TomlTable;

/** Reads one definition. What it does not know and what contradicts itself is an error; nothing is guessed. */
final class DefinitionReader {
    /** The longest path that fits {@code sockaddr_un} with its final zero: unix(7). */
    private static final int MAX_SOCKET_PATH_BYTES = 107;

    private static final int MAX_ARGUMENTS = 512;
    private static final int MAX_CHANNELS = 16;
    private static final long DAY_MILLIS = 86_400_000;

    /** Arguments that are the daemon's business, and why. */
    private static final Map<String, String> REFUSED_ARGUMENTS = Map.of(
            "-incoming", "no -incoming: the daemon appends -incoming defer",
            "-daemonize", "no -daemonize: the daemon watches the process that it starts");

    private static final List<String> KEYS = List.of(
            "kind",
            "uuid",
            "qmp",
            "incoming.argv",
            "incoming.waiting-qmp",
            "move.downtime-limit-millis",
            "move.max-downtime-millis",
            "move.time-budget-millis",
            "move.postcopy",
            "move.preempt",
            "move.multifd-channels",
            "move.xbzrle",
            "move.auto-converge",
            "move.after-success",
            "move.retries");

    private final Path file;
    private final String name;
    private final TomlParseResult toml;
    /** What is not read yet: what is left at the end is nobody's. */
    private final Map<String, Object> given = new HashMap<>();

    private DefinitionReader(Path file, String name, TomlParseResult toml) {
        this.file = file;
        this.name = name;
        this.toml = toml;
    }

    /** Reads the text of {@code file}. */
    static GuestDefinition read(Path file, String name, String text) throws ConfigException {
        TomlParseResult toml = Toml.parse(text);
        if (toml.hasErrors()) {
            TomlParseError error = toml.errors().getFirst();
            throw new ConfigException(
                    name, file + ":" + error.position().line(), "TOML 1.0 (" + error.getMessage() + ")");
        }
        return new DefinitionReader(file, name, toml).definition();
    }

    private GuestDefinition definition() throws ConfigException {
        for (var entry : toml.dottedEntrySet(true)) {
            given.put(entry.getKey(), entry.getValue());
        }
        String _ = one("kind", kind -> Optional.of(kind).filter("qemu"::equals), "\"qemu\"")
                .orElseThrow(() -> missing("kind", "\"qemu\""));
        UUID uuid = one("uuid", DefinitionReader::uuid, "a uuid in quotes, not all zero")
                .orElseThrow(() -> missing("uuid", "a uuid in quotes"));
        Path qmp = socket("qmp").orElseThrow(() -> missing("qmp", "the path of a socket"));
        Optional<Incoming> incoming = incoming(qmp);
        MoveDefaults move = move();
        given.remove("incoming");
        if (given.get("move") instanceof TomlTable) {
            given.remove("move");
        }
        if (!given.isEmpty()) {
            String key = given.keySet().stream().sorted().findFirst().orElseThrow();
            throw wrong(key, given.get(key), "no such key; the keys are " + String.join(", ", KEYS));
        }
        return new GuestDefinition(name, file, uuid, qmp, incoming, move);
    }

    private Optional<Incoming> incoming(Path qmp) throws ConfigException {
        Object raw = given.get("incoming.argv");
        Optional<List<String>> argv = argv();
        Optional<Path> waiting = socket("incoming.waiting-qmp");
        if (argv.isPresent() && waiting.isPresent()) {
            throw wrong("incoming.argv", raw, "either argv or waiting-qmp");
        }
        if (waiting.isPresent() && waiting.get().equals(qmp)) {
            throw wrong("incoming.waiting-qmp", waiting.get(), "another socket than qmp");
        }
        if (argv.isEmpty() && waiting.isEmpty() && given.containsKey("incoming")) {
            throw wrong("incoming", "", "argv or waiting-qmp in it");
        }
        return argv.<Incoming>map(Incoming.Start::new).or(() -> waiting.map(Incoming.Waiting::new));
    }

    private Optional<List<String>> argv() throws ConfigException {
        String key = "incoming.argv";
        Object raw = given.remove(key);
        if (raw == null) {
            return Optional.empty();
        }
        List<String> argv = new ArrayList<>();
        for (Object element : raw instanceof TomlArray array ? array.toList() : List.of(raw)) {
            if (!(element instanceof String argument) || argument.indexOf('\0') >= 0) {
                throw wrong(key, element, "a list of strings");
            }
            String refused = REFUSED_ARGUMENTS.get(argument.startsWith("--") ? argument.substring(1) : argument);
            if (refused != null) {
                throw wrong(key, argument, refused);
            }
            Matcher placeholder = GuestDefinition.PLACEHOLDER.matcher(argument);
            while (placeholder.find()) {
                if (!GuestDefinition.PLACEHOLDERS.contains(placeholder.group(1))) {
                    throw wrong(key, argument, "no placeholders but {qmp}, {name}, {uuid} and {run}");
                }
            }
            argv.add(argument);
        }
        if (!(raw instanceof TomlArray)
                || argv.isEmpty()
                || argv.size() > MAX_ARGUMENTS
                || argv.getFirst().isBlank()) {
            throw wrong(
                    key,
                    raw instanceof TomlArray ? argv : raw,
                    "a list of 1 to %d strings, the program first".formatted(MAX_ARGUMENTS));
        }
        return Optional.of(List.copyOf(argv));
    }

    private MoveDefaults move() throws ConfigException {
        MoveDefaults fallback = MoveDefaults.NONE;
        Object preemptRaw = given.get("move.preempt");
        Object xbzrleRaw = given.get("move.xbzrle");
        Object maxRaw = given.get("move.max-downtime-millis");
        long limit = number("downtime-limit-millis", 1, 2_000_000, fallback.downtimeLimitMillis());
        long max = number("max-downtime-millis", 1, 2_000_000, Math.max(limit, fallback.maxDowntimeMillis()));
        MoveDefaults move = new MoveDefaults(
                limit,
                max,
                number("time-budget-millis", 0, 30 * DAY_MILLIS, fallback.timeBudgetMillis()),
                named("postcopy", PostcopyUse.values(), PostcopyUse::configName, fallback.postcopy()),
                flag("preempt", fallback.preempt()),
                (int) number("multifd-channels", 0, MAX_CHANNELS, fallback.multifdChannels()),
                flag("xbzrle", fallback.xbzrle()),
                flag("auto-converge", fallback.autoConverge()),
                named("after-success", AfterSuccess.values(), AfterSuccess::configName, fallback.afterSuccess()),
                (int) number("retries", 0, 100, fallback.retries()));
        if (max < limit) {
            throw wrong("move.max-downtime-millis", maxRaw, "at least move.downtime-limit-millis " + limit);
        }
        if (move.preempt() && move.postcopy() == PostcopyUse.NEVER) {
            throw wrong("move.preempt", preemptRaw, "false, or move.postcopy other than \"never\"");
        }
        if (move.xbzrle() && move.multifdChannels() > 0) {
            throw wrong("move.xbzrle", xbzrleRaw, "false, or move.multifd-channels 0");
        }
        return move;
    }

    private long number(String name, long lowest, long highest, long fallback) throws ConfigException {
        String key = "move." + name;
        Object raw = given.remove(key);
        if (raw == null) {
            return fallback;
        }
        if (raw instanceof Long value && value >= lowest && value <= highest) {
            return value;
        }
        throw wrong(key, raw, "a number from %d to %d".formatted(lowest, highest));
    }

    private boolean flag(String name, boolean fallback) throws ConfigException {
        String key = "move." + name;
        Object raw = given.remove(key);
        if (raw == null) {
            return fallback;
        }
        if (raw instanceof Boolean value) {
            return value;
        }
        throw wrong(key, raw, "true or false");
    }

    private <T> T named(String name, T[] values, Function<T, String> text, T fallback) throws ConfigException {
        String allowed = Stream.of(values).map(text).map(v -> '"' + v + '"').collect(Collectors.joining(", "));
        return one(
                        "move." + name,
                        raw -> Stream.of(values)
                                .filter(value -> text.apply(value).equals(raw))
                                .findFirst(),
                        allowed)
                .orElse(fallback);
    }

    private Optional<Path> socket(String key) throws ConfigException {
        return one(
                key,
                DefinitionReader::socketPath,
                "an absolute path of at most %d bytes without ., .. and commas".formatted(MAX_SOCKET_PATH_BYTES));
    }

    private <T> Optional<T> one(String key, Function<String, Optional<T>> reader, String allowed)
            throws ConfigException {
        Object raw = given.remove(key);
        if (raw == null) {
            return Optional.empty();
        }
        Optional<T> value = raw instanceof String text ? reader.apply(text) : Optional.empty();
        if (value.isEmpty()) {
            throw wrong(key, raw, allowed);
        }
        return value;
    }

    private static Optional<UUID> uuid(String text) {
        if (!text.matches("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")) {
            return Optional.empty();
        }
        return Optional.of(UUID.fromString(text)).filter(uuid -> !uuid.equals(new UUID(0, 0)));
    }

    private static Optional<Path> socketPath(String text) {
        try {
            Path path = Path.of(text);
            boolean fits = path.isAbsolute()
                    && path.equals(path.normalize())
                    && !text.contains(",")
                    && text.getBytes(StandardCharsets.UTF_8).length <= MAX_SOCKET_PATH_BYTES;
            return fits ? Optional.of(path) : Optional.empty();
        } catch (InvalidPathException e) {
            return Optional.empty();
        }
    }

    private ConfigException missing(String key, String allowed) {
        return new ConfigException(key, "(not in " + file + ")", allowed);
    }

    private ConfigException wrong(String key, @Nullable Object value, String allowed) {
        var position = toml.inputPositionOf(key);
        String where = position == null ? file.toString() : file + ":" + position.line();
        Object shown = value instanceof TomlArray array ? array.toList() : value;
        return new ConfigException(key, "%s (%s)".formatted(shown, where), allowed);
    }
}
