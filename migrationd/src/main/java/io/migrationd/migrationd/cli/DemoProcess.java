package io.migrationd.migrationd.cli;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A process that the demo started: it writes to files, and is stopped by its own id. */
final class DemoProcess implements AutoCloseable {
    private static final Duration STOP_TIMEOUT = Duration.ofSeconds(10);
    private static final long POLL_MILLIS = 20;
    private static final int TAIL_LINES = 25;

    private final String name;
    private final Process process;
    private final Path out;
    private final Path log;

    private DemoProcess(String name, Process process, Path out, Path log) {
        this.name = name;
        this.process = process;
        this.out = out;
        this.log = log;
    }

    static DemoProcess start(String name, Path directory, List<String> command) throws IOException {
        Path out = directory.resolve(name + ".out");
        Path log = directory.resolve(name + ".log");
        Process process = new ProcessBuilder(command)
                .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
                .redirectOutput(out.toFile())
                .redirectError(log.toFile())
                .start();
        return new DemoProcess(name, process, out, log);
    }

    String name() {
        return name;
    }

    /** Waits a moment for what depends on this process, which must not end meanwhile. */
    void tick() throws DemoException {
        try {
            if (process.waitFor(POLL_MILLIS, TimeUnit.MILLISECONDS)) {
                throw new DemoException(
                        process.exitValue() == DemoException.HOST_CANNOT
                                ? DemoException.HOST_CANNOT
                                : DemoException.FAILED,
                        "%s ended with exit code %d".formatted(name, process.exitValue()));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DemoException("interrupted while waiting for " + name, e);
        }
    }

    /** The first line of its standard output: what a program of ours prints when it is ready. */
    String awaitFirstLine(Duration timeout) throws DemoException {
        long deadline = System.nanoTime() + timeout.toNanos();
        try {
            while (deadline - System.nanoTime() > 0) {
                String text = Files.readString(out);
                int end = text.indexOf('\n');
                if (end >= 0) {
                    return text.substring(0, end);
                }
                tick();
            }
        } catch (IOException e) {
            throw new DemoException("cannot read what %s prints".formatted(name), e);
        }
        throw new DemoException("%s is not ready after %d s".formatted(name, timeout.toSeconds()));
    }

    /** The last lines that it wrote for people. */
    List<String> tail() {
        try {
            List<String> lines = new String(Files.readAllBytes(log), StandardCharsets.UTF_8)
                    .lines()
                    .toList();
            return lines.subList(Math.max(0, lines.size() - TAIL_LINES), lines.size());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Ends it as a power cut would. */
    void kill() throws DemoException {
        process.destroyForcibly();
        try {
            process.waitFor();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DemoException("interrupted while killing " + name, e);
        }
    }

    /** Asks it to end, then makes it. */
    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(STOP_TIMEOUT.toSeconds(), TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
