package io.migrationd.it.bench;

import java.util.Map;

/**
 * One measured copy.
 *
 * @param seconds wall time, by the clock of the sender
 * @param cpuSeconds of each process that took part, by its role
 */
record Sample(double seconds, Map<String, Double> cpuSeconds) {
    double totalCpuSeconds() {
        return cpuSeconds.values().stream().mapToDouble(Double::doubleValue).sum();
    }
}
