package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Asks two QEMUs all the time whether their guest runs. Two copies count as running at once if the source ran before
 * and after it was seen to run at the destination, or the other way round: each answer is of its own moment.
 *
 * <p>Its thread {@code it-run-watch} ends on close.
 */
@SuppressWarnings({"try", "NonAtomicVolatileUpdate"}) // A test may be interrupted while it ends; one thread counts.
public final class RunWatch implements AutoCloseable {
    private static final Duration INTERVAL = Duration.ofMillis(5);
    private static final Duration STOP = Duration.ofSeconds(30);

    private final Eye source;
    private final Eye destination;
    private final Thread thread;
    private volatile boolean closing;
    private volatile boolean sourceRuns;
    private volatile boolean destinationRuns;
    private volatile int samples;
    // Guarded by this.
    private final List<String> twice = new ArrayList<>();

    private RunWatch(Path source, Path destination) {
        this.source = new Eye("source", source);
        this.destination = new Eye("destination", destination);
        this.thread = Thread.ofPlatform().daemon().name("it-run-watch").unstarted(this::watch);
    }

    /** Watches the QEMUs that have these sockets for it; they may come later, end, and come again. */
    public static RunWatch start(Path source, Path destination) {
        RunWatch watch = new RunWatch(source, destination);
        watch.thread.start();
        return watch;
    }

    /** Whether the guest ran at the source when it was looked last. */
    public boolean sourceRuns() {
        return sourceRuns;
    }

    /** Whether the guest ran at the destination when it was looked last. */
    public boolean destinationRuns() {
        return destinationRuns;
    }

    /** How often both were asked. */
    public int samples() {
        return samples;
    }

    /** The moments at which two copies ran. */
    public synchronized List<String> ranTwice() {
        return List.copyOf(twice);
    }

    private void watch() {
        boolean before = false;
        while (!closing) {
            boolean first = source.runs();
            boolean second = destination.runs();
            if (second && first && source.runs()) {
                synchronized (this) {
                    twice.add("sample %d".formatted(samples));
                }
            }
            if (first && before && second) {
                synchronized (this) {
                    twice.add("sample %d, seen at the destination before and after".formatted(samples));
                }
            }
            before = second;
            sourceRuns = first;
            destinationRuns = second;
            samples++;
            LockSupport.parkNanos(INTERVAL.toNanos());
        }
        source.close();
        destination.close();
    }

    @Override
    public void close() throws InterruptedException {
        closing = true;
        thread.join(STOP);
        if (thread.isAlive()) {
            throw new IllegalStateException("it-run-watch does not stop");
        }
    }

    /** One QEMU; for the thread only. */
    private static final class Eye {
        private final String name;
        private final Path socket;
        private Optional<QmpClient> client = Optional.empty();

        Eye(String name, Path socket) {
            this.name = name;
            this.socket = socket;
        }

        boolean runs() {
            @Nullable QmpClient open = client.orElse(null);
            try {
                if (open == null) {
                    open = QmpClient.connect("watch-" + name, socket);
                    client = Optional.of(open);
                }
                return open.execute("query-status").path("running").asBoolean();
            } catch (IOException | TimeoutException e) {
                // Nobody listens, or not any more: what has ended does not run.
                close();
                return false;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return false;
            }
        }

        void close() {
            client.ifPresent(QmpClient::close);
            client = Optional.empty();
        }
    }
}
