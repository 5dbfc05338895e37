package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** One side of the demo: a daemon with its own directories and a guest under it. */
final class DemoHost implements AutoCloseable {
    private static final Duration START_TIMEOUT = Duration.ofSeconds(60);

    private final String role;
    private final Path directory;
    private final Path launcher;
    private final Deque<DemoProcess> processes = new ArrayDeque<>(); // newest first; guarded by this
    private @Nullable QmpClient client; // guarded by this
    private @Nullable DemoProcess daemon; // guarded by this
    private int daemons; // guarded by this

    DemoHost(String role, Path directory, Path launcher) {
        this.role = role;
        this.directory = directory;
        this.launcher = launcher;
    }

    /** Starts a daemon; after {@link #killDaemon}, another one over the same directories. */
    void startDaemon() throws DemoException {
        startDaemon("", "");
    }

    /**
     * The same with more in its configuration.
     *
     * @param paths lines of its table {@code [paths]}
     * @param tables whole tables
     */
    synchronized void startDaemon(String paths, String tables) throws DemoException {
        try {
            Files.createDirectories(directory);
            Path config = Files.writeString(directory.resolve("migrationd.toml"), """
                    [paths]
                    runtime = "%s"
                    state = "%s"
                    guest-socket = "%s"
                    %s

                    [metrics]
                    address = "off"

                    %s
                    """.formatted(
                            directory.resolve("run"), directory.resolve("state"), guestSocket(), paths, tables));
            daemons++;
            daemon = start(
                    daemons == 1 ? "daemon" : "daemon-" + daemons, List.of("serve", "--config", config.toString()));
        } catch (IOException e) {
            throw new DemoException("cannot start the daemon of the " + role, e);
        }
    }

    /** Kills the daemon; its guest goes on without it. */
    synchronized void killDaemon() throws DemoException {
        if (client != null) {
            client.close();
            client = null;
        }
        if (daemon == null) {
            throw new DemoException("the demo is being stopped");
        }
        daemon.kill();
    }

    /** Starts a sample guest and waits until it says that it is ready. */
    void startGuest(List<String> options) throws DemoException {
        List<String> arguments = new ArrayList<>(
                List.of("sample-guest", "--socket", guestSocket().toString()));
        arguments.addAll(options);
        try {
            start("guest", arguments).awaitFirstLine(START_TIMEOUT);
        } catch (IOException e) {
            throw new DemoException("cannot start the guest of the " + role, e);
        }
    }

    /** Connects, as soon as the daemon listens. */
    QmpClient connect() throws DemoException {
        Path socket = directory.resolve("run/control.sock");
        long deadline = System.nanoTime() + START_TIMEOUT.toNanos();
        while (true) {
            try {
                QmpClient connected = QmpClient.connect(socket);
                synchronized (this) {
                    client = connected;
                }
                return connected;
            } catch (DaemonUnreachableException e) {
                if (deadline - System.nanoTime() <= 0) {
                    throw new DemoException("the daemon of the %s does not answer".formatted(role), e);
                }
                newest().tick();
            }
        }
    }

    /** The guest, as soon as the daemon knows it. */
    GuestClient awaitGuest(QmpClient daemon, String name) throws DemoException, DaemonUnreachableException {
        GuestClient guest = new GuestClient(daemon, name);
        long deadline = System.nanoTime() + START_TIMEOUT.toNanos();
        while (true) {
            try {
                guest.command("guest-show");
                return guest;
            } catch (QmpException e) {
                if (deadline - System.nanoTime() <= 0) {
                    throw new DemoException("the daemon of the %s does not know the guest".formatted(role), e);
                }
                newest().tick();
            }
        }
    }

    /** Lets a moment pass in which nothing of this side may end. */
    void tick() throws DemoException {
        newest().tick();
    }

    /** The last lines of every log, with a heading each. */
    synchronized List<String> tails() {
        List<String> lines = new ArrayList<>();
        for (DemoProcess process : processes.reversed()) {
            lines.add("--- %s, last lines:".formatted(process.name()));
            lines.addAll(process.tail());
        }
        return lines;
    }

    /** Stops what was started, in reverse order. */
    @Override
    public synchronized void close() {
        if (client != null) {
            client.close();
            client = null;
        }
        while (!processes.isEmpty()) {
            processes.removeFirst().close();
        }
    }

    String role() {
        return role;
    }

    Path directory() {
        return directory;
    }

    /** Starts any program; what it prints goes to files. */
    void startProgram(String what, List<String> command) throws DemoException {
        try {
            synchronized (this) {
                processes.addFirst(DemoProcess.start(role + "-" + what, directory, command));
            }
        } catch (IOException e) {
            throw new DemoException("cannot start " + command.getFirst(), e);
        }
    }

    private Path guestSocket() {
        return directory.resolve("run/guest.sock");
    }

    private synchronized DemoProcess start(String what, List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(launcher.toString()));
        command.addAll(arguments);
        DemoProcess process = DemoProcess.start(role + "-" + what, directory, command);
        processes.addFirst(process);
        return process;
    }

    private synchronized DemoProcess newest() throws DemoException {
        if (processes.isEmpty()) {
            throw new DemoException("the demo is being stopped");
        }
        return processes.getFirst();
    }
}
