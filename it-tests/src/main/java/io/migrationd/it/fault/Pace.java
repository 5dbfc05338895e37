package io.migrationd.it.fault;

/**
 * Spreads bytes over time: at most a hundredth of a second's worth at once, and what a late caller has missed up to
 * that much. Takes the time as an argument.
 */
final class Pace {
    static final long UNLIMITED = Long.MAX_VALUE;

    private static final long SECOND_NANOS = 1_000_000_000;
    private static final long BURST_NANOS = SECOND_NANOS / 100;

    private final long bytesPerSecond;
    private long readyAtNanos;

    Pace(long bytesPerSecond, long nowNanos) {
        if (bytesPerSecond < 1) {
            throw new IllegalArgumentException("a rate of " + bytesPerSecond + " bytes/s");
        }
        this.bytesPerSecond = bytesPerSecond;
        this.readyAtNanos = nowNanos;
    }

    /** How long to wait before the next byte, 0 for not at all. */
    long waitNanos(long nowNanos) {
        return bytesPerSecond == UNLIMITED ? 0 : Math.max(0, readyAtNanos - nowNanos);
    }

    /** How many bytes may go at once when the wait is over. */
    int burstBytes() {
        return Math.clamp(bytesPerSecond / (SECOND_NANOS / BURST_NANOS), 1, Integer.MAX_VALUE);
    }

    void spent(int bytes, long nowNanos) {
        if (bytesPerSecond != UNLIMITED) {
            long from = Math.max(readyAtNanos, nowNanos - BURST_NANOS);
            readyAtNanos = from + (long) ((double) bytes * SECOND_NANOS / bytesPerSecond);
        }
    }
}
