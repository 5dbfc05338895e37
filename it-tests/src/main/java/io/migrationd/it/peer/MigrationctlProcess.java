package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeoutException;

/** One command of our command line, in a JVM of its own. */
public final class MigrationctlProcess implements AutoCloseable {
    private static final String MAIN = "io.migrationd.migrationd.cli.MigrationctlMain";

    private final ChildProcess process;

    private MigrationctlProcess(ChildProcess process) {
        this.process = process;
    }

    /** Runs {@code migrationctl ARGUMENTS} against {@code daemon}. */
    public static MigrationctlProcess start(DaemonProcess daemon, Path folder, String... arguments) throws IOException {
        List<String> command = JavaCommand.of("128m", MAIN);
        command.addAll(List.of(arguments));
        command.addAll(List.of("--socket", daemon.controlSocket().toString()));
        return new MigrationctlProcess(ChildProcess.start("migrationctl", folder, command));
    }

    /** Waits for its end and returns the exit code. */
    public int awaitExit(Duration deadline) throws InterruptedException, TimeoutException {
        return process.awaitExit(deadline);
    }

    /** How it ended and what it said, for messages. */
    public String facts() {
        return process.facts();
    }

    /** Kills it; what it has set going goes on. */
    @Override
    public void close() {
        process.close();
    }
}
