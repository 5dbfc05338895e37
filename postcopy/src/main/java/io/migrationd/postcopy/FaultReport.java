package io.migrationd.postcopy;

import java.util.List;
import java.util.Map;

/**
 * How the guest's threads waited for pages. Times are microseconds unless the name says otherwise.
 *
 * @param requests messages sent to the source, repeats included
 * @param pending host pages that are waited for now
 * @param faults how many waits have ended
 * @param buckets bucket n counts waits of 2^n to 2^(n+1) microseconds; 24 of them, as QEMU 10.1 has
 * @param blocktimeMillis time during which every thread that ever waited waited at once
 * @param threadBlocktimeMillis time each thread has waited, by thread id
 */
public record FaultReport(
        long requests,
        long pending,
        long faults,
        long meanMicros,
        long p50Micros,
        long p99Micros,
        long maxMicros,
        List<Long> buckets,
        long blocktimeMillis,
        Map<Integer, Long> threadBlocktimeMillis) {
    /** Nobody waits for anything. */
    public static final FaultReport NONE = new FaultReport(0, 0, 0, 0, 0, 0, 0, List.of(), 0, Map.of());
}
