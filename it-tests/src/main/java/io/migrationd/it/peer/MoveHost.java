package io.migrationd.it.peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;

/** A host that QEMU guests move from and to: a daemon that can die and come back, and its folder. */
@SuppressWarnings("try") // A test may be interrupted while it ends.
public final class MoveHost implements AutoCloseable {
    private static final int FIRST_PORT = 15_000;
    private static final int END_OF_PORTS = 32_000;
    private static final int PORT_ATTEMPTS = 100;
    private static final Duration KILL_DEADLINE = Duration.ofSeconds(10);

    private final String name;
    private final Path folder;
    private final String settings;
    private DaemonProcess daemon;

    private MoveHost(String name, Path folder, String settings, DaemonProcess daemon) {
        this.name = name;
        this.folder = folder;
        this.settings = settings;
        this.daemon = daemon;
    }

    /**
     * Starts its daemon.
     *
     * @param port where peers may call
     * @param peers their names and addresses
     */
    public static MoveHost start(String name, Path folder, int port, Map<String, String> peers) throws Exception {
        Files.createDirectories(folder.resolve("guests.d"));
        String settings = """
                [peer]
                name = "%s"
                listen = "tcp:127.0.0.1:%d"
                [peers]
                %s
                """.formatted(
                        name,
                        port,
                        peers.entrySet().stream()
                                .map(peer -> "%s = [\"%s\"]".formatted(peer.getKey(), peer.getValue()))
                                .collect(Collectors.joining("\n")));
        return new MoveHost(name, folder, settings, DaemonProcess.start(folder, settings));
    }

    /**
     * A port of this machine that nobody listens at now, below those that the kernel gives to connections (32768 and
     * up): one of theirs may be taken again before a daemon has it.
     */
    public static int freePort() throws IOException {
        for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
            int port = ThreadLocalRandom.current().nextInt(FIRST_PORT, END_OF_PORTS);
            try (ServerSocket probe = new ServerSocket(port, 1, InetAddress.getLoopbackAddress())) {
                return probe.getLocalPort();
            } catch (BindException taken) {
                // The next one, then.
            }
        }
        throw new IOException("no free port from %d to %d".formatted(FIRST_PORT, END_OF_PORTS));
    }

    /** As others call it. */
    public String name() {
        return name;
    }

    /** Its folder. */
    public Path folder() {
        return folder;
    }

    /** The daemon that runs now, or ran last. */
    public DaemonProcess daemon() {
        return daemon;
    }

    /** A guest that this host knows: writes {@code guests.d/GUEST.toml}. */
    public void define(String guest, String definition) throws IOException {
        Files.writeString(folder.resolve("guests.d").resolve(guest + ".toml"), definition);
    }

    /** Takes a definition back. */
    public void forget(String guest) throws IOException {
        Files.deleteIfExists(folder.resolve("guests.d").resolve(guest + ".toml"));
    }

    /** SIGKILL, and waits until the daemon is gone. */
    public void kill() throws InterruptedException {
        daemon.kill();
        if (!daemon.hasEnded(KILL_DEADLINE)) {
            throw new IllegalStateException("SIGKILL did not end " + daemon.facts());
        }
    }

    /** Starts a daemon in the place of one that has ended. */
    public void restart() throws Exception {
        daemon.close();
        daemon = DaemonProcess.start(folder, settings);
    }

    /** What its daemons have said, for messages. */
    public String facts() {
        return name + ": " + daemon.facts();
    }

    @Override
    public void close() {
        try {
            daemon.close();
        } catch (UncheckedIOException e) {
            throw new IllegalStateException("not closed: " + facts(), e);
        }
    }
}
