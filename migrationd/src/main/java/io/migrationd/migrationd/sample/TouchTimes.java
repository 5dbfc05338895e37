package io.migrationd.migrationd.sample;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;

/**
 * How long accesses to guest memory took: a histogram with sixteen steps to each power of two, so that a percentile is
 * at most a sixteenth too low. Written by one worker, read by anybody.
 */
final class TouchTimes {
    /** What takes longer has waited for somebody: a page that is there takes about a microsecond, two wake-ups ten. */
    static final long WAIT_NANOS = 5_000;

    private static final int STEP_BITS = 4;
    private static final int STEPS = 1 << STEP_BITS;
    private static final int BUCKETS = (Long.SIZE - STEP_BITS) * STEPS;
    private static final long NANOS_PER_MICRO = 1000;

    private final AtomicLong count = new AtomicLong();
    private final AtomicLongArray waits = new AtomicLongArray(BUCKETS);
    private final AtomicLong maxNanos = new AtomicLong();

    void add(long nanos) {
        count.incrementAndGet();
        if (nanos > WAIT_NANOS) {
            waits.incrementAndGet(bucket(nanos));
            maxNanos.accumulateAndGet(nanos, Math::max);
        }
    }

    /** All of them together: how many touches, how many of them waited, and how long those did. */
    static Map<String, Object> report(List<TouchTimes> all) {
        long[] waits = new long[BUCKETS];
        long waited = 0;
        for (TouchTimes times : all) {
            for (int i = 0; i < BUCKETS; i++) {
                long inBucket = times.waits.get(i);
                waits[i] += inBucket;
                waited += inBucket;
            }
        }
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("count", all.stream().mapToLong(t -> t.count.get()).sum());
        report.put("waits", waited);
        report.put("p50-micros", percentileNanos(waits, waited, 50) / NANOS_PER_MICRO);
        report.put("p99-micros", percentileNanos(waits, waited, 99) / NANOS_PER_MICRO);
        report.put(
                "max-micros",
                all.stream().mapToLong(t -> t.maxNanos.get()).max().orElse(0) / NANOS_PER_MICRO);
        return report;
    }

    private static long percentileNanos(long[] waits, long waited, int percent) {
        long rank = Math.ceilDiv(waited * percent, 100);
        long below = 0;
        for (int i = 0; i < BUCKETS && rank > 0; i++) {
            below += waits[i];
            if (below >= rank) {
                return lowerBound(i);
            }
        }
        return 0;
    }

    static int bucket(long nanos) {
        if (nanos < STEPS) {
            return (int) nanos;
        }
        int shift = Long.SIZE - 1 - Long.numberOfLeadingZeros(nanos) - STEP_BITS;
        return (shift + 1) * STEPS + (int) (nanos >>> shift) - STEPS;
    }

    static long lowerBound(int bucket) {
        if (bucket < STEPS) {
            return bucket;
        }
        int shift = bucket / STEPS - 1;
        return (long) (STEPS + bucket % STEPS) << shift;
    }
}
