package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A process of ours, with its output in files. It is killed by its own pid on close, and when this JVM ends before. */
final class ChildProcess implements AutoCloseable {
    private static final Duration KILL_DEADLINE = Duration.ofSeconds(10);
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime()
                .addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly), "it-kill-children"));
    }

    private final String name;
    private final Process process;
    private final Path stdout;
    private final Path stderr;

    private ChildProcess(String name, Process process, Path stdout, Path stderr) {
        this.name = name;
        this.process = process;
        this.stdout = stdout;
        this.stderr = stderr;
    }

    /** Starts {@code command}; its output goes to {@code NAME.out} and {@code NAME.err} in {@code folder}. */
    static ChildProcess start(String name, Path folder, List<String> command) throws IOException {
        Path stdout = folder.resolve(name + ".out");
        Path stderr = folder.resolve(name + ".err");
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(stdout.toFile()))
                .redirectError(ProcessBuilder.Redirect.appendTo(stderr.toFile()));
        // MIGRATIOND_... is configuration to our daemon, but the tests' own settings here.
        builder.environment().keySet().removeIf(variable -> variable.startsWith("MIGRATIOND_"));
        Process process = builder.start();
        RUNNING.add(process);
        return new ChildProcess(name, process, stdout, stderr);
    }

    boolean isAlive() {
        return process.isAlive();
    }

    long pid() {
        return process.pid();
    }

    /** Waits for the process to end; false if it is still there after {@code deadline}. */
    boolean hasEnded(Duration deadline) throws InterruptedException {
        return process.waitFor(deadline.toMillis(), TimeUnit.MILLISECONDS);
    }

    /** Waits for the process to end by itself. */
    int awaitExit(Duration deadline) throws InterruptedException, TimeoutException {
        if (!hasEnded(deadline)) {
            throw new TimeoutException("%s (pid %d) still runs".formatted(name, process.pid()));
        }
        RUNNING.remove(process);
        return process.exitValue();
    }

    /** SIGTERM. */
    void terminate() {
        process.destroy();
    }

    /** SIGKILL. */
    void kill() {
        process.destroyForcibly();
    }

    /** What it is, how it ended and what it said, for messages. */
    String facts() {
        String state = process.isAlive() ? "runs" : "ended with " + process.exitValue();
        return "%s (pid %d) %s; stdout: %s; stderr: %s"
                .formatted(name, process.pid(), state, read(stdout), read(stderr));
    }

    /** The stacks of all threads of a JVM. */
    String threads() throws IOException {
        Process jcmd = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                        Long.toString(process.pid()),
                        "Thread.print")
                .redirectErrorStream(true)
                .start();
        return new String(jcmd.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    private static String read(Path file) {
        try {
            return Files.readString(file, StandardCharsets.ISO_8859_1).strip();
        } catch (IOException e) {
            return e.toString();
        }
    }

    @Override
    public void close() {
        kill();
        try {
            awaitExit(KILL_DEADLINE);
        } catch (TimeoutException e) {
            throw new IllegalStateException("SIGKILL did not end " + facts(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
