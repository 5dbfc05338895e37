package io.migrationd.it.peer;

import java.io.IOException;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/** Our daemon in a JVM of its own, with this JVM's class path, all its files in one folder. */
public final class DaemonProcess implements AutoCloseable {
    private static final Duration START_DEADLINE = Duration.ofSeconds(30);
    private static final Duration STOP_DEADLINE = Duration.ofSeconds(20);
    /** What bin/migrationd gives it. */
    private static final String DAEMON_HEAP = "96m";

    private static final String MAIN = "io.migrationd.migrationd.Main";

    private final Path runtime;
    private final Path state;
    private final ChildProcess process;
    private final QmpClient qmp;

    private DaemonProcess(Path runtime, Path state, ChildProcess process, QmpClient qmp) {
        this.runtime = runtime;
        this.state = state;
        this.process = process;
        this.qmp = qmp;
    }

    /** Starts a daemon and waits for its control socket. */
    public static DaemonProcess start(Path folder) throws Exception {
        return start(folder, "");
    }

    /** As the other; {@code settings} are more of its configuration file. */
    public static DaemonProcess start(Path folder, String settings) throws Exception {
        Path runtime = Files.createDirectories(folder.resolve("run"));
        Path state = Files.createDirectories(folder.resolve("state"));
        Path config = Files.writeString(
                folder.resolve("migrationd.toml"), """
                [paths]
                runtime = "%s"
                state = "%s"
                guest-definitions = "%s"
                [metrics]
                address = "127.0.0.1:0"
                %s
                """.formatted(runtime, state, folder.resolve("guests.d"), settings));
        ChildProcess process = ChildProcess.start("migrationd", folder, command(config));
        try {
            QmpClient qmp =
                    QmpClient.connectWhenUp("migrationd", runtime.resolve("control.sock"), process, START_DEADLINE);
            return new DaemonProcess(runtime, state, process, qmp);
        } catch (Exception e) {
            String facts = process.facts() + "\n" + process.threads();
            process.close();
            throw new IOException("the daemon does not answer: %s; %s".formatted(e.getMessage(), facts), e);
        }
    }

    private static List<String> command(Path config) {
        return JavaCommand.of(DAEMON_HEAP, MAIN, "serve", "--config", config.toString());
    }

    /** The control socket. */
    public QmpClient qmp() {
        return qmp;
    }

    /** The path of the control socket. */
    public Path controlSocket() {
        return runtime.resolve("control.sock");
    }

    /** Where its sockets are. */
    public Path runtimeFolder() {
        return runtime;
    }

    /** Where its journal and its reports are. */
    public Path stateFolder() {
        return state;
    }

    /** Where guests attach. */
    public Path guestSocket() {
        return runtime.resolve("guest.sock");
    }

    /** Where a parked guest's RAM lies, if it has any. */
    public Path parkedRamFolder(String guest) {
        return state.resolve("parked").resolve(guest).resolve("ram");
    }

    /** Makes an empty parked guest, ready for {@code migrate-incoming}. */
    public MigrationControl park(String guest) throws IOException, TimeoutException, InterruptedException {
        qmp.execute("guest-park", Map.of("guest", guest));
        return MigrationControl.of(qmp, guest);
    }

    /** The file that holds a RAM block of a parked guest. Its name is the block's, percent-encoded. */
    public Path parkedRam(String guest, String block) throws IOException {
        try (Stream<Path> files = Files.list(parkedRamFolder(guest))) {
            List<Path> all = files.toList();
            return all.stream()
                    .filter(file -> URLDecoder.decode(file.getFileName().toString(), StandardCharsets.UTF_8)
                            .equals(block))
                    .findFirst()
                    .orElseThrow(() -> new IOException("no block %s among %s".formatted(block, all)));
        }
    }

    /** Process state and output, for messages. */
    public String facts() {
        return process.facts();
    }

    /** SIGKILL. It may still be there when this returns. */
    public void kill() {
        process.kill();
    }

    /** Whether the process is there. */
    public boolean isAlive() {
        return process.isAlive();
    }

    /** The stacks of all its threads, for messages. */
    public String threads() throws IOException {
        return process.threads();
    }

    /** Waits for the process to end; false if it is still there after {@code deadline}. */
    public boolean hasEnded(Duration deadline) throws InterruptedException {
        return process.hasEnded(deadline);
    }

    /** Asks the daemon to stop and returns its exit code. */
    public int stop() throws InterruptedException, TimeoutException {
        process.terminate();
        return process.awaitExit(STOP_DEADLINE);
    }

    /** Kills it: nothing of its own can be put in order. */
    @Override
    public void close() {
        qmp.close();
        process.close();
    }
}
