package io.migrationd.postcopy.fault;

import java.util.ArrayList;
import java.util.List;

/**
 * How long things took, in 32 steps to each power of two nanoseconds: what it answers is at most 1/32 too much. Fixed
 * memory; not thread-safe.
 */
final class LatencyHistogram {
    /** QEMU 10.1 and later: migration/postcopy-ram.c, the latency buckets of its blocktime context. */
    static final int POWER_BUCKETS = 24;

    private static final int STEP_BITS = 5;
    private static final int STEPS = 1 << STEP_BITS;
    private static final long NANOS_PER_MICRO = 1000;

    private final long[] counts = new long[(Long.SIZE - STEP_BITS) * STEPS];
    private final long[] powers = new long[POWER_BUCKETS];
    private long count;
    private long sumNanos;
    private long maxNanos;

    /** A clock that went back counts as no time. */
    void record(long nanos) {
        long value = Math.max(0, nanos);
        counts[indexOf(value)]++;
        powers[powerOf(value / NANOS_PER_MICRO)]++;
        count++;
        sumNanos += value;
        maxNanos = Math.max(maxNanos, value);
    }

    long count() {
        return count;
    }

    long meanNanos() {
        return count == 0 ? 0 : sumNanos / count;
    }

    long maxNanos() {
        return maxNanos;
    }

    /** What that share of all (0 to 1) did not exceed; 0 when there are none. */
    long percentileNanos(double share) {
        long rank = Math.max(1, (long) Math.ceil(share * count));
        long seen = 0;
        for (int i = 0; i < counts.length; i++) {
            seen += counts[i];
            if (seen >= rank) {
                return Math.min(maxNanos, highestOf(i));
            }
        }
        return 0;
    }

    /** Bucket n counts 2^n to 2^(n+1) microseconds; what is shorter or longer is in the first or the last. */
    List<Long> powerBuckets() {
        List<Long> all = new ArrayList<>(POWER_BUCKETS);
        for (long power : powers) {
            all.add(power);
        }
        return List.copyOf(all);
    }

    private static int powerOf(long micros) {
        int power = Long.SIZE - 1 - Long.numberOfLeadingZeros(Math.max(1, micros));
        return Math.min(POWER_BUCKETS - 1, power);
    }

    private static int indexOf(long value) {
        int shift = Math.max(0, Long.SIZE - STEP_BITS - 1 - Long.numberOfLeadingZeros(value));
        return (shift << STEP_BITS) + (int) (value >>> shift);
    }

    private static long highestOf(int index) {
        int shift = Math.max(0, (index >> STEP_BITS) - 1);
        long step = index - ((long) shift << STEP_BITS);
        return ((step + 1) << shift) - 1;
    }
}
