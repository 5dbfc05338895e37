package io.migrationd.it.peer;

import java.time.Duration;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;

/** Waits for a condition that only asking can tell. */
public final class Await {
    private static final long INTERVAL_NANOS = TimeUnit.MILLISECONDS.toNanos(5);

    private Await() {}

    /**
     * Asks every few milliseconds until {@code condition} holds.
     *
     * @param facts what to print if it does not within {@code deadline}
     * @throws TimeoutException with {@code what} and the facts
     */
    public static void until(String what, Duration deadline, Callable<Boolean> condition, Callable<?> facts)
            throws Exception {
        long end = System.nanoTime() + deadline.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() - end > 0) {
                throw new TimeoutException(
                        "%s: not within %d s: %s".formatted(what, deadline.toSeconds(), facts.call()));
            }
            LockSupport.parkNanos(INTERVAL_NANOS);
        }
    }
}
