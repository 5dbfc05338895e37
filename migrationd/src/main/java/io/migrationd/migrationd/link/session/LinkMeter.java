package io.migrationd.migrationd.link.session;

import java.util.Arrays;

/** Measures round trips and delivered bytes of one session. Written by the event loop, read by any thread. */
final class LinkMeter {
    private static final int SLOTS = 8;
    private static final long SLOT_NANOS = 62_500_000;
    private static final int TRIPS = 16;

    private final long[] slotBytes = new long[SLOTS];
    private final long[] trips = new long[TRIPS];
    private long slot;
    private int tripCount;
    private volatile long rttNanos;
    private volatile long minRttNanos;
    private volatile long bytesPerSecond;

    LinkMeter(long nowNanos) {
        slot = nowNanos / SLOT_NANOS;
    }

    void delivered(long bytes, long nowNanos) {
        advance(nowNanos);
        slotBytes[(int) Math.floorMod(slot, (long) SLOTS)] += bytes;
    }

    /** Half a second in whole slots: the newest is not whole yet and does not count. */
    private void advance(long nowNanos) {
        long now = nowNanos / SLOT_NANOS;
        if (now == slot) {
            return;
        }
        long sum = 0;
        int counted = 0;
        for (long past = now - SLOTS + 1; past < now; past++) {
            sum += past <= slot ? slotBytes[(int) Math.floorMod(past, (long) SLOTS)] : 0;
            counted++;
        }
        bytesPerSecond = (long) (sum * (1e9 / (counted * (double) SLOT_NANOS)));
        for (long next = Math.max(slot + 1, now - SLOTS + 1); next <= now; next++) {
            slotBytes[(int) Math.floorMod(next, (long) SLOTS)] = 0;
        }
        slot = now;
    }

    void tick(long nowNanos) {
        advance(nowNanos);
    }

    /** A trip that waited for our own bytes says nothing about the link: a window made of it would feed itself. */
    void tripBehindBulk(long nanos) {
        rttNanos = nanos;
    }

    void trip(long nanos) {
        rttNanos = nanos;
        trips[tripCount++ % TRIPS] = nanos;
        minRttNanos = Arrays.stream(trips, 0, Math.min(tripCount, TRIPS)).min().orElse(nanos);
    }

    long rttNanos() {
        return rttNanos;
    }

    long minRttNanos() {
        return minRttNanos;
    }

    long bytesPerSecond() {
        return bytesPerSecond;
    }
}
