package io.migrationd.migrationd.outgoing;

import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;

/**
 * How long to wait before the next attempt to reach the destination: not at all before the first, then from 50 ms on
 * twice as long each time up to a limit, times a random half to one, so that many migrations whose link has come back
 * do not dial at the same moment. One thread.
 */
final class Backoff {
    private static final long FIRST_MILLIS = 50;

    private final long maxMillis;
    private final RandomGenerator random;
    private long nextMillis;

    Backoff(long maxMillis, RandomGenerator random) {
        this.maxMillis = maxMillis;
        this.random = random;
    }

    /** Nanoseconds to wait before the attempt that follows. */
    long nextNanos() {
        long now = nextMillis;
        nextMillis = Math.min(maxMillis, Math.max(FIRST_MILLIS, 2 * now));
        return (long) (TimeUnit.MILLISECONDS.toNanos(now) * (0.5 + random.nextDouble() / 2));
    }
}
