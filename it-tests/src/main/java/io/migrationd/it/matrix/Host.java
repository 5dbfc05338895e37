package io.migrationd.it.matrix;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/** One daemon that is killed now and then, and comes back with what it has on disk. */
final class Host implements AutoCloseable {
    private static final String SETTINGS = """
            [recovery]
            dead-peer-millis = 1000
            max-interval-millis = 200
            """;

    /** A killed process closes its sockets a moment before it is gone. */
    private static final Duration DEATH = Duration.ofSeconds(5);

    private static final Pattern SESSION = Pattern.compile(" session=\"[0-9]+\"");

    private final Path folder;
    /** Replaced by the thread that runs rounds, killed by any. */
    private volatile DaemonProcess daemon;

    private volatile boolean killed;

    private Host(Path folder, DaemonProcess daemon) {
        this.folder = folder;
        this.daemon = daemon;
    }

    static Host start(Path folder) throws Exception {
        return new Host(folder, DaemonProcess.start(Files.createDirectories(folder), SETTINGS));
    }

    void kill() {
        killed = true;
        daemon.kill();
    }

    /** Starts the daemon again if it was killed; false if it was not. */
    boolean revive() throws Exception {
        if (!killed) {
            return false;
        }
        killed = false;
        daemon.close();
        daemon = DaemonProcess.start(folder, SETTINGS);
        return true;
    }

    Path guestSocket() {
        return daemon.guestSocket();
    }

    MigrationControl guest(String name) {
        return MigrationControl.of(daemon.qmp(), name);
    }

    /** Whether a guest of that name is attached. */
    boolean hasGuest(String name) throws IOException, TimeoutException, InterruptedException {
        for (JsonNode guest : daemon.qmp().execute("guest-list")) {
            if (guest.path("name").asText().equals(name)) {
                return !guest(name).runState().equals("shutdown");
            }
        }
        return false;
    }

    GuestCheck check(String name) throws IOException, TimeoutException, InterruptedException {
        return GuestCheck.of(guest(name).execute("guest-show", Map.of()));
    }

    /** The answer, unless the daemon has just been killed. */
    <T> Optional<T> ask(Question<T> question) throws Exception {
        try {
            return Optional.of(question.ask());
        } catch (QmpException e) {
            throw e;
        } catch (IOException e) {
            if (daemon.hasEnded(DEATH)) {
                return Optional.empty();
            }
            throw e;
        }
    }

    /** What is asked of a daemon. */
    @FunctionalInterface
    interface Question<T> {
        T ask() throws Exception;
    }

    String facts() {
        return daemon.facts();
    }

    /** What the daemon has said about a guest, or about its migration by number, and the first line of each reason. */
    String log(String guest) throws IOException {
        List<String> about = new ArrayList<>();
        boolean reason = false;
        Set<String> sessions = new HashSet<>();
        for (String line : Files.readAllLines(folder.resolve("migrationd.err"), StandardCharsets.ISO_8859_1)) {
            boolean entry = line.startsWith("2");
            if (entry) {
                Matcher session = SESSION.matcher(line);
                boolean named = line.contains("guest=\"" + guest + "\"");
                boolean numbered = session.find();
                if (named && numbered) {
                    sessions.add(session.group());
                }
                reason = named || (numbered && sessions.contains(session.group()));
            }
            if (reason && (entry || !line.startsWith("\tat io.netty"))) {
                about.add(line);
            }
        }
        return String.join("\n", about);
    }

    /** The stacks of the threads that are about migrations. */
    String threads() throws IOException {
        return Arrays.stream(daemon.threads().split("\n\n"))
                .filter(thread -> thread.startsWith("\"mig-") || thread.startsWith("\"ctl-client"))
                .collect(Collectors.joining("\n\n"));
    }

    @Override
    public void close() {
        daemon.close();
    }
}
