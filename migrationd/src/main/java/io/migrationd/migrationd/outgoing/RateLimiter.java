package io.migrationd.migrationd.outgoing;

/**
 * Keeps the stream below {@code max-bandwidth}: a budget per window of 100 ms, as QEMU does. What a window sends beyond
 * its budget, because a run of pages is not cut, is taken off the next ones. Pure: time comes in as an argument. Not
 * thread-safe.
 */
final class RateLimiter {
    static final long WINDOW_NANOS = 100_000_000;

    private long windowStart;
    private long positionAtStart;

    RateLimiter(long nowNanos) {
        windowStart = nowNanos;
    }

    /**
     * How long to wait before more may be written.
     *
     * @param bytesPerSecond 0 is unlimited
     * @param position bytes written so far
     * @return nanoseconds, 0 if there is budget
     */
    long delayNanos(long nowNanos, long bytesPerSecond, long position) {
        long windows = (nowNanos - windowStart) / WINDOW_NANOS;
        if (windows > 0) {
            windowStart += windows * WINDOW_NANOS;
            positionAtStart = position - debt(windows, bytesPerSecond, position - positionAtStart);
        }
        if (bytesPerSecond == 0 || position - positionAtStart < budget(bytesPerSecond)) {
            return 0;
        }
        return WINDOW_NANOS - (nowNanos - windowStart);
    }

    /** Bytes that may still be written in this window. */
    long left(long bytesPerSecond, long position) {
        return bytesPerSecond == 0
                ? Long.MAX_VALUE
                : Math.max(0, budget(bytesPerSecond) - (position - positionAtStart));
    }

    private static long debt(long windows, long bytesPerSecond, long sent) {
        // Divided first: budget times windows may not fit.
        boolean paid = bytesPerSecond == 0 || windows > sent / budget(bytesPerSecond);
        return paid ? 0 : sent - windows * budget(bytesPerSecond);
    }

    private static long budget(long bytesPerSecond) {
        return Math.max(1, bytesPerSecond / 10);
    }
}
