package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;

/**
 * How long page faults took, in microseconds.
 *
 * @param waits how many there were
 */
record FaultTimes(long waits, double p50Micros, double p99Micros, double maxMicros) {
    /** Of an object with these members; {@code count} names the one with the number of faults. */
    static FaultTimes of(JsonNode json, String count) {
        return new FaultTimes(
                json.path(count).asLong(),
                json.path("p50-micros").asDouble(),
                json.path("p99-micros").asDouble(),
                json.path("max-micros").asDouble());
    }
}
