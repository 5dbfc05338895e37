package io.migrationd.migrationd.outgoing;

import java.util.Arrays;

/** How fast the link takes bytes, measured over at least 100 ms. Pure: time comes in. Read by any thread. */
final class BandwidthMeter {
    private static final long WINDOW_NANOS = 100_000_000;
    private static final int SUSTAINED_WINDOWS = 10;

    private long windowStart;
    private long bytesAtStart;
    private final double[] latest = new double[SUSTAINED_WINDOWS];
    private int windowCount;
    private volatile double bytesPerSecond;
    private volatile double sustainedBytesPerSecond;

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
        latest[windowCount++ % SUSTAINED_WINDOWS] = bytesPerSecond;
        double mean = Arrays.stream(latest)
                .limit(Math.min(windowCount, SUSTAINED_WINDOWS))
                .average()
                .orElseThrow();
        sustainedBytesPerSecond = Math.min(bytesPerSecond, mean);
        windowStart = nowNanos;
        bytesAtStart = bytesSent;
    }

    /** Of the last window; 0 before there was one. */
    double bytesPerSecond() {
        return bytesPerSecond;
    }

    /**
     * What the last window and the mean of the last ten both reached. A socket takes bursts that the link does not
     * carry on; who waits for a good window would promise a downtime by the luckiest of them.
     */
    double sustainedBytesPerSecond() {
        return sustainedBytesPerSecond;
    }
}
