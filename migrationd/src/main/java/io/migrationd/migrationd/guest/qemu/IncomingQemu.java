package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import java.io.File;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A destination's QEMU that the daemon has started. It is in a session of its own and writes to a file, so that it
 * outlives the daemon; a restarted daemon finds it by its {@link QemuProcessId}. One thread at a time.
 */
public final class IncomingQemu {
    private static final Logger log = LoggerFactory.getLogger(IncomingQemu.class);

    /** What it prints, in its run directory. */
    static final String LOG = "qemu.log";

    private static final int LOG_TAIL_BYTES = 2048;
    private static final Duration POLL = Duration.ofMillis(20);
    private static final Duration QUIT_DEADLINE = Duration.ofSeconds(2);
    private static final Duration TERM_DEADLINE = Duration.ofSeconds(2);
    private static final Duration KILL_DEADLINE = Duration.ofSeconds(10);

    /** Where the service manager talks to the daemon, which is none of a guest's business. */
    private static final List<String> OWN_ENVIRONMENT = List.of("MIGRATIOND_", "NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_");

    private final String name;
    private final Path run;
    private final QemuProcessId process;

    private IncomingQemu(String name, Path run, QemuProcessId process) {
        this.name = name;
        this.run = run;
        this.process = process;
    }

    /** A QEMU that waits for {@code migrate-incoming}, and its monitor. */
    public record Started(IncomingQemu process, QemuGuest monitor) {}

    /**
     * Starts the QEMU of a definition and connects to it. On failure nothing is left of it but its log.
     *
     * @param runRoot holds the run directories of all guests
     * @param deadline until its monitor answers
     * @param callTimeout of the monitor's calls
     */
    public static Started start(
            GuestDefinition definition,
            Incoming.Start template,
            Path runRoot,
            Duration deadline,
            Duration callTimeout,
            QmpMonitor.Listener listener)
            throws GuestException {
        Path run = runRoot.resolve(definition.name());
        if (answers(definition.qmp())) {
            throw new GuestException("a QEMU answers at %s already".formatted(definition.qmp()));
        }
        long until = System.nanoTime() + deadline.toNanos();
        Process child = launch(definition.commandLine(template, run), run);
        QemuProcessId id = QemuProcessId.of(child.pid())
                .orElseThrow(
                        () -> new GuestException("QEMU %s ended at once: %s".formatted(definition.name(), tail(run))));
        IncomingQemu qemu = new IncomingQemu(definition.name(), run, id);
        log.atInfo()
                .addKeyValue("guest", definition.name())
                .addKeyValue("pid", id.pid())
                .addKeyValue("log", run.resolve(LOG))
                .log("incoming QEMU started");
        try {
            return new Started(qemu, qemu.awaitMonitor(child, definition.qmp(), until, callTimeout, listener));
        } catch (GuestException | RuntimeException e) {
            qemu.kill(Optional.empty());
            throw e;
        }
    }

    /** One that an earlier daemon has started, if it still runs. */
    public static Optional<IncomingQemu> find(GuestDefinition definition, Path runRoot, QemuProcessId process) {
        return process.isAlive()
                ? Optional.of(new IncomingQemu(definition.name(), runRoot.resolve(definition.name()), process))
                : Optional.empty();
    }

    /** What a restarted daemon finds it by. */
    public QemuProcessId id() {
        return process;
    }

    /** Whether the process runs. */
    public boolean isAlive() {
        return process.isAlive();
    }

    /** The end of what it printed. */
    public String logTail() {
        return tail(run);
    }

    /**
     * Ends it: by {@code quit}, then by SIGTERM, then by SIGKILL, and removes its run directory.
     *
     * @param monitor its, if there is one; it is closed
     * @throws GuestException if it still runs
     */
    public void kill(Optional<QemuGuest> monitor) throws GuestException {
        if (monitor.isPresent()) {
            quit(monitor.get());
        }
        if (!ended(monitor.isPresent() ? QUIT_DEADLINE : Duration.ZERO)) {
            process.handle().ifPresent(ProcessHandle::destroy);
        }
        if (!ended(TERM_DEADLINE)) {
            process.handle().ifPresent(ProcessHandle::destroyForcibly);
        }
        if (!ended(KILL_DEADLINE)) {
            throw new GuestException("QEMU %s, process %d, does not end".formatted(name, process.pid()));
        }
        log.atInfo()
                .addKeyValue("guest", name)
                .addKeyValue("pid", process.pid())
                .log("incoming QEMU ended");
        cleanRun(run, Optional.of(LOG));
    }

    /** Removes the run directory of a QEMU that has ended, with its log. */
    public void clean() {
        if (!isAlive()) {
            cleanRun(run, Optional.empty());
        }
    }

    private void quit(QemuGuest monitor) {
        try (monitor) {
            monitor.quit();
        } catch (QmpException | QmpConnectionException e) {
            log.atDebug()
                    .addKeyValue("guest", name)
                    .addKeyValue("reason", e.getMessage())
                    .log("QEMU did not quit");
        }
    }

    /** Also for a process that is no child of this daemon. */
    private boolean ended(Duration deadline) throws GuestException {
        Optional<ProcessHandle> handle = process.handle();
        if (handle.isEmpty()) {
            return true;
        }
        try {
            ProcessHandle _ = handle.get().onExit().get(deadline.toMillis(), TimeUnit.MILLISECONDS);
            return !process.isAlive();
        } catch (TimeoutException e) {
            return !process.isAlive();
        } catch (ExecutionException e) {
            throw new GuestException("cannot watch process %d".formatted(process.pid()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new GuestException("interrupted while QEMU %s ends".formatted(name), e);
        }
    }

    private static Process launch(List<String> command, Path run) throws GuestException {
        try {
            Files.createDirectories(run);
            Files.setPosixFilePermissions(run, PosixFilePermissions.fromString("rwx------"));
            cleanRun(run, Optional.empty());
            Files.createDirectories(run);
            Files.setPosixFilePermissions(run, PosixFilePermissions.fromString("rwx------"));
            // setsid runs the program in its own place: the pid stays. A signal to the daemon's group does not reach
            // it.
            ProcessBuilder builder = new ProcessBuilder(
                    Stream.concat(Stream.of("setsid"), command.stream()).toList());
            builder.environment()
                    .keySet()
                    .removeIf(variable -> OWN_ENVIRONMENT.stream().anyMatch(variable::startsWith));
            return builder.directory(run.toFile())
                    .redirectInput(new File("/dev/null"))
                    .redirectErrorStream(true)
                    .redirectOutput(run.resolve(LOG).toFile())
                    .start();
        } catch (IOException e) {
            throw new GuestException("cannot start %s: %s".formatted(command.getFirst(), e.getMessage()), e);
        }
    }

    private QemuGuest awaitMonitor(
            Process child, Path qmp, long untilNanos, Duration callTimeout, QmpMonitor.Listener listener)
            throws GuestException {
        @Nullable QmpConnectionException last = null;
        try {
            while (System.nanoTime() < untilNanos) {
                try {
                    return QemuGuest.connect(name, qmp, callTimeout, listener);
                } catch (QmpClosedException notYet) {
                    last = notYet;
                } catch (QmpConnectionException silent) {
                    throw new GuestException(String.valueOf(silent.getMessage()), silent);
                }
                if (child.waitFor(POLL.toMillis(), TimeUnit.MILLISECONDS)) {
                    throw new GuestException(
                            "QEMU %s ended with exit code %d: %s".formatted(name, child.exitValue(), logTail()));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new GuestException("interrupted while QEMU %s starts".formatted(name), e);
        }
        String reason = last == null ? "" : ": " + last.what();
        throw new GuestException(
                "QEMU %s: no monitor at %s in time%s; it printed: %s".formatted(name, qmp, reason, logTail()));
    }

    /** Whether somebody listens there: a new QEMU would take its socket away without a word. */
    static boolean answers(Path socket) {
        try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            probe.configureBlocking(false);
            return probe.connect(UnixDomainSocketAddress.of(socket));
        } catch (IOException nobody) {
            // EAGAIN says that its queue is full: somebody is there, and serves another client.
            return String.valueOf(nobody.getMessage()).contains("temporarily unavailable");
        }
    }

    private static String tail(Path run) {
        try (FileChannel file = FileChannel.open(run.resolve(LOG), StandardOpenOption.READ)) {
            long start = Math.max(0, file.size() - LOG_TAIL_BYTES);
            ByteBuffer bytes = ByteBuffer.allocate(LOG_TAIL_BYTES);
            file.position(start);
            int _ = file.read(bytes);
            String text = StandardCharsets.UTF_8.decode(bytes.flip()).toString().strip();
            return text.isEmpty() ? "(it printed nothing)" : text;
        } catch (IOException e) {
            return "(no log: %s)".formatted(e.getMessage());
        }
    }

    /** Only plain entries, as QEMUs make them; a directory in it is not ours. */
    private static void cleanRun(Path run, Optional<String> keep) {
        try (Stream<Path> entries = Files.list(run)) {
            for (Path entry : entries.toList()) {
                if (keep.isEmpty() || !entry.endsWith(keep.get())) {
                    Files.deleteIfExists(entry);
                }
            }
            if (keep.isEmpty()) {
                Files.deleteIfExists(run);
            }
        } catch (IOException e) {
            log.atWarn().addKeyValue("directory", run).setCause(e).log("run directory not removed");
        }
    }
}
