package io.migrationd.it.bench;

import java.util.Map;
import java.util.Optional;

/**
 * One run of a kind whose faults are timed.
 *
 * @param guest as the thread that touches memory saw it
 * @param server as the destination's daemon saw it, from the fault to the placement
 * @param bytes of RAM that were placed in the whole run
 * @param cpuSeconds of each process that took part in the whole run, by its role
 */
record FaultSample(FaultTimes guest, Optional<FaultTimes> server, long bytes, Map<String, Double> cpuSeconds) {
    /** CPU seconds per GiB of all processes together. */
    double cpuPerGib() {
        return cpuSeconds.values().stream().mapToDouble(Double::doubleValue).sum() / (bytes / ByteSize.GIB);
    }
}
