package io.migrationd.it.matrix;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;

/** One daemon that is killed now and then, and comes back with what it has on disk. */
final class Host implements AutoCloseable {
    private static final String SETTINGS = """
            [recovery]
            dead-peer-millis = 1000
            max-interval-millis = 200
            """;

    private final Path folder;
    /** Replaced by the thread that runs rounds, killed by any. */
    private volatile DaemonProcess daemon;

    private Host(Path folder, DaemonProcess daemon) {
        this.folder = folder;
        this.daemon = daemon;
    }

    static Host start(Path folder) throws Exception {
        return new Host(folder, DaemonProcess.start(Files.createDirectories(folder), SETTINGS));
    }

    void kill() {
        daemon.kill();
    }

    /** Starts the daemon again if it is dead. */
    void revive() throws Exception {
        if (!daemon.isAlive()) {
            daemon.close();
            daemon = DaemonProcess.start(folder, SETTINGS);
        }
    }

    boolean isAlive() {
        return daemon.isAlive();
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
        } catch (IOException e) {
            if (isAlive()) {
                throw e;
            }
            return Optional.empty();
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
