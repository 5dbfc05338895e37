package io.migrationd.migrationd.outgoing;

/** How fast the link takes bytes, measured over at least 100 ms. Pure: time comes in. Read by any thread. */
final class BandwidthMeter {
    private static final long WINDOW_NANOS = 100_000_000;

    private long windowStart;
    private long bytesAtStart;
    private volatile double bytesPerSecond;

    BandwidthMeter(long nowNanos) {
        windowStart = nowNanos;
    }

    /** Looks at the count of bytes that the socket has taken. */
    void sample(long nowNanos, long bytesSent) {
        long elapsed = nowNanos - windowStart;
        if (elapsed < WINDOW_NANOS) {
            return;
        }
        bytesPerSecond = (bytesSent - bytesAtStart) * 1e9 / elapsed;
        windowStart = nowNanos;
        bytesAtStart = bytesSent;
    }

    /** Of the last window; 0 before there was one. */
    double bytesPerSecond() {
        return bytesPerSecond;
    }
}
