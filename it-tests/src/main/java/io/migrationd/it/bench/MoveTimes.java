package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.function.Predicate;

/**
 * One precopy move by the events of both QEMUs, whose clock is the same, and the CPU time that it took.
 *
 * @param bytes that the source's QEMU has sent
 * @param seconds from {@code active} to {@code completed} at the source, without the wait at the gate
 * @param stopMillis from the guest's stop to the gate, or to the device state if there is no gate
 * @param gateMillis how long the source waited at the gate, 0 without
 * @param restMillis from there to the source's {@code completed}: the last pass, the device state and its way, and the
 *     destination's word that it has all
 * @param startMillis from the source's {@code completed} to the guest's start at the destination; negative if it ran
 *     before
 * @param qemuMillis what the source's QEMU says was the downtime
 */
record MoveTimes(
        long bytes,
        double seconds,
        OptionalDouble stopMillis,
        double gateMillis,
        double restMillis,
        OptionalDouble startMillis,
        double qemuMillis,
        Map<String, Double> cpuSeconds) {
    /**
     * Of a move that is over; the guest did not run if there is no STOP in it.
     *
     * @param sent events of the source
     * @param received events of the destination
     * @param info what query-migrate says at the source
     */
    static MoveTimes of(List<JsonNode> sent, List<JsonNode> received, JsonNode info, Map<String, Double> cpuSeconds)
            throws IOException {
        double active = require(time(sent, status("active")), "active");
        double completed = require(time(sent, status("completed")), "completed");
        OptionalDouble gate = time(sent, status("pre-switchover"));
        OptionalDouble device = time(sent, status("device"));
        double passed = device.orElse(completed);
        double gateMillis = gate.isPresent() ? passed - gate.getAsDouble() : 0;
        OptionalDouble stop =
                time(sent, event -> event.path("event").asText().equals("STOP") && millis(event) >= active);
        OptionalDouble resume = stop.isEmpty()
                ? OptionalDouble.empty()
                : time(received, event -> event.path("event").asText().equals("RESUME"));
        double stopped = gate.orElse(passed);
        return new MoveTimes(
                info.path("ram").path("transferred").asLong(),
                (completed - active - gateMillis) / 1e3,
                stop.isPresent() ? OptionalDouble.of(stopped - stop.getAsDouble()) : OptionalDouble.empty(),
                gateMillis,
                completed - passed,
                resume.isPresent() ? OptionalDouble.of(resume.getAsDouble() - completed) : OptionalDouble.empty(),
                info.path("downtime").asDouble(),
                cpuSeconds);
    }

    /** The guest's downtime: from STOP at the source to RESUME at the destination. */
    Optional<Double> downtimeMillis() {
        return stopMillis.isPresent() && startMillis.isPresent()
                ? Optional.of(stopMillis.getAsDouble() + gateMillis + restMillis + startMillis.getAsDouble())
                : Optional.empty();
    }

    double gibPerSecond() {
        return bytes / ByteSize.GIB / seconds;
    }

    double cpuPerGib(String role) {
        return cpuSeconds.getOrDefault(role, 0.0) / (bytes / ByteSize.GIB);
    }

    private static Predicate<JsonNode> status(String status) {
        return event -> event.path("event").asText().equals("MIGRATION")
                && event.path("data").path("status").asText().equals(status);
    }

    private static OptionalDouble time(List<JsonNode> events, Predicate<JsonNode> wanted) {
        return events.stream().filter(wanted).mapToDouble(MoveTimes::millis).findFirst();
    }

    private static double millis(JsonNode event) {
        JsonNode time = event.path("timestamp");
        return time.path("seconds").asLong() * 1e3 + time.path("microseconds").asLong() / 1e3;
    }

    private static double require(OptionalDouble time, String status) throws IOException {
        return time.orElseThrow(() -> new IOException("no event of status " + status));
    }
}
