package io.migrationd.it.bench;

import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.net.SocketException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;

/** A process whose CPU time is measured. It is killed by its own pid on close, and when this JVM ends before. */
final class MeasuredProcess implements AutoCloseable {
    private static final Duration START_DEADLINE = Duration.ofSeconds(60);
    private static final Duration END_DEADLINE = Duration.ofSeconds(10);
    private static final Set<Process> RUNNING = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime()
                .addShutdownHook(new Thread(() -> RUNNING.forEach(Process::destroyForcibly), "bench-kill-children"));
    }

    private final String name;
    private final Process process;
    private final Path output;

    private MeasuredProcess(String name, Process process, Path output) {
        this.name = name;
        this.process = process;
        this.output = output;
    }

    /** Starts {@code command}; what it prints goes to {@code NAME.log} in {@code folder}. */
    static MeasuredProcess start(String name, Path folder, List<String> command, Map<String, String> environment)
            throws IOException {
        Path output = folder.resolve(name + ".log");
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.appendTo(output.toFile()));
        builder.environment().putAll(environment);
        Process process = builder.start();
        RUNNING.add(process);
        return new MeasuredProcess(name, process, output);
    }

    long pid() {
        return process.pid();
    }

    /** User and system time of all its threads, also of those that have ended. */
    double cpuSeconds() throws IOException {
        return ProcFiles.cpuSeconds(Long.toString(pid()));
    }

    /** The most memory it had resident so far, in MiB. */
    double peakResidentMib() throws IOException {
        return ProcFiles.peakResidentKib(Long.toString(pid())) / 1024.0;
    }

    /** Connects to the QMP socket at {@code path} as soon as the process listens there. */
    QmpClient connectQmp(Path path) throws Exception {
        QmpClient[] client = new QmpClient[1];
        await("socket " + path, () -> {
            try {
                client[0] = QmpClient.connect(name, path);
                return true;
            } catch (SocketException notYet) {
                // Not there, or there and not listened at.
                return false;
            }
        });
        return client[0];
    }

    /** The first line of output that starts with {@code prefix}, without it. */
    String awaitLine(String prefix) throws Exception {
        await("line '" + prefix + "'", () -> log().lines().anyMatch(line -> line.startsWith(prefix)));
        return log().lines()
                .filter(line -> line.startsWith(prefix))
                .findFirst()
                .orElseThrow()
                .substring(prefix.length());
    }

    private void await(String what, Callable<Boolean> condition) throws Exception {
        Await.until(
                what + " of " + name,
                START_DEADLINE,
                () -> {
                    boolean holds = condition.call();
                    if (!holds && !process.isAlive()) {
                        throw new IOException(facts());
                    }
                    return holds;
                },
                this::facts);
    }

    /** What it has printed. */
    String log() throws IOException {
        return Files.readString(output, StandardCharsets.ISO_8859_1);
    }

    private String facts() throws IOException {
        String state = process.isAlive() ? "runs" : "ended with " + process.exitValue();
        return "%s (pid %d) %s; it said: %s".formatted(name, process.pid(), state, log().strip());
    }

    @Override
    public void close() {
        process.destroyForcibly();
        try {
            if (!process.waitFor(END_DEADLINE.toMillis(), TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("SIGKILL did not end " + name + ", pid " + pid());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        RUNNING.remove(process);
    }
}
