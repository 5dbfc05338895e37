package io.migrationd.it.fault;

import java.time.Duration;

/**
 * What holds for one direction of all connections of a proxy. Only the proxy's thread touches it, but for the count.
 */
final class Lane {
    static final long NEVER = Long.MAX_VALUE;

    private static final int QUEUE_BYTES = 128 << 10;
    /** A delay needs room for what is under way. */
    private static final int DELAYED_QUEUE_BYTES = 32 << 20;

    private boolean silent;
    private long delayNanos;
    private Pace pace = new Pace(Pace.UNLIMITED, 0);
    private long cutAtBytes = NEVER;

    /** Written by the proxy's thread only, read by any. */
    private volatile long bytes;

    long bytes() {
        return bytes;
    }

    boolean isSilent() {
        return silent;
    }

    void silence(boolean on) {
        silent = on;
    }

    long delayNanos() {
        return delayNanos;
    }

    void delay(Duration delay) {
        delayNanos = delay.toNanos();
    }

    int queueBytes() {
        return delayNanos == 0 ? QUEUE_BYTES : DELAYED_QUEUE_BYTES;
    }

    void limitRate(long bytesPerSecond, long nowNanos) {
        pace = new Pace(bytesPerSecond, nowNanos);
    }

    void cutAt(long totalBytes) {
        cutAtBytes = totalBytes;
    }

    boolean isCutDue() {
        return bytes >= cutAtBytes;
    }

    long waitNanos(long nowNanos) {
        return pace.waitNanos(nowNanos);
    }

    /** How many bytes may pass now, once there is nothing to wait for. */
    int allowance() {
        return Math.clamp(cutAtBytes - bytes, 0, pace.burstBytes());
    }

    @SuppressWarnings("NonAtomicVolatileUpdate") // One writer.
    void passed(int count, long nowNanos) {
        bytes += count;
        pace.spent(count, nowNanos);
    }
}
