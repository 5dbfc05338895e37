package io.migrationd.migrationd.outgoing;

/**
 * Keeps the stream below {@code max-bandwidth}: a budget per window of 100 ms, as QEMU does. Pure: time comes in as an
 * argument. Not thread-safe.
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
        if (nowNanos - windowStart >= WINDOW_NANOS) {
            windowStart = nowNanos;
            positionAtStart = position;
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

    private static long budget(long bytesPerSecond) {
        return Math.max(1, bytesPerSecond / 10);
    }
}
