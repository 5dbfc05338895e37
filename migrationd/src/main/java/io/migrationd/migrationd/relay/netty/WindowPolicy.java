package io.migrationd.migrationd.relay.netty;

/**
 * How many bytes may be in flight: QEMU sees through them, so they must not be worth more than a part of the downtime
 * that it works towards. What the path itself holds during a round trip comes on top: with less than that in flight a
 * long path would never be filled, and the measured rate and the window would shrink each other.
 */
final class WindowPolicy {
    static final long LEAST_BYTES = 256 * 1024;
    static final long MOST_BYTES = 8 << 20;
    private static final double DOWNTIME_PART = 0.15;

    private WindowPolicy() {}

    static long window(long bytesPerSecond, long downtimeLimitMillis, long minRttNanos) {
        double seconds = downtimeLimitMillis * DOWNTIME_PART / 1e3 + minRttNanos / 1e9;
        return (long) Math.clamp(bytesPerSecond * seconds, LEAST_BYTES, MOST_BYTES);
    }
}
