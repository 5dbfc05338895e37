package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.session.MigrationInfo.DowntimeSplit;
import org.jspecify.annotations.Nullable;

/** When what happened, in nanoseconds of the monotonic clock. The migration thread writes, any thread reads. */
final class Timeline {
    private final long start;
    private volatile long setupDone;
    private volatile long stopping;
    private volatile long stopped;
    private volatile long gatePassed;
    private volatile long lastPassSent;
    private volatile long devicesSent;
    private volatile long handedOver;
    private volatile long end;
    private volatile long bytesBeforeDowntime;

    Timeline(long startNanos) {
        start = startNanos;
    }

    void setupDone() {
        setupDone = System.nanoTime();
    }

    void stopping() {
        stopping = System.nanoTime();
    }

    void stopped() {
        stopped = System.nanoTime();
    }

    void gatePassed(long bytesSent) {
        bytesBeforeDowntime = bytesSent;
        gatePassed = System.nanoTime();
    }

    void lastPassSent() {
        lastPassSent = System.nanoTime();
    }

    void devicesSent() {
        devicesSent = System.nanoTime();
    }

    /** Postcopy: the socket has the last byte of the package. */
    void handedOver() {
        handedOver = System.nanoTime();
    }

    void ended() {
        end = System.nanoTime();
    }

    long totalNanos() {
        return (end == 0 ? System.nanoTime() : end) - start;
    }

    /** -1 while it goes on. */
    long setupNanos() {
        return setupDone == 0 ? -1 : setupDone - start;
    }

    /** -1 if the guest was not stopped, or nobody has it yet. */
    long downtimeNanos() {
        return stopping == 0 || downtimeEnd() == 0 ? -1 : downtimeEnd() - stopping;
    }

    /** In postcopy the destination goes on with what it has. */
    private long downtimeEnd() {
        return handedOver == 0 ? end : handedOver;
    }

    long bytesBeforeDowntime() {
        return bytesBeforeDowntime;
    }

    boolean isDowntime() {
        return gatePassed != 0;
    }

    /** Of a migration that has sent its devices. */
    @Nullable
    DowntimeSplit split() {
        if (devicesSent == 0 || downtimeEnd() == 0) {
            return null;
        }
        return new DowntimeSplit(
                micros(stopping, stopped),
                micros(stopped, gatePassed),
                micros(gatePassed, lastPassSent),
                micros(lastPassSent, devicesSent),
                micros(devicesSent, downtimeEnd()));
    }

    private static long micros(long from, long to) {
        return (to - from) / 1000;
    }
}
