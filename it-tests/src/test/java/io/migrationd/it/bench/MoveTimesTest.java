package io.migrationd.it.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Times of a move")
class MoveTimesTest {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static JsonNode event(String name, int millis) throws Exception {
        String data =
                name.equals("STOP") || name.equals("RESUME") ? "" : ", \"data\": {\"status\": \"%s\"}".formatted(name);
        return JSON.readTree("{\"event\": \"%s\", \"timestamp\": {\"seconds\": 7, \"microseconds\": %d}%s}"
                .formatted(data.isEmpty() ? name : "MIGRATION", millis * 1000, data));
    }

    private static JsonNode info() throws Exception {
        return JSON.readTree("{\"ram\": {\"transferred\": 1073741824}, \"downtime\": 42}");
    }

    @Test
    void theWaitAtTheGateIsDowntimeAndNoTransfer() throws Exception {
        MoveTimes times = MoveTimes.of(
                List.of(
                        event("STOP", 1),
                        event("active", 100),
                        event("STOP", 300),
                        event("pre-switchover", 302),
                        event("device", 322),
                        event("completed", 340)),
                List.of(event("active", 110), event("completed", 338), event("RESUME", 345)),
                info(),
                Map.of());
        assertThat(times.seconds()).isCloseTo(0.22, within(1e-6));
        assertThat(times.gateMillis()).isCloseTo(20, within(1e-3));
        assertThat(times.restMillis()).isCloseTo(18, within(1e-3));
        assertThat(times.downtimeMillis()).hasValueSatisfying(d -> assertThat(d).isCloseTo(45, within(1e-3)));
    }

    @Test
    void aGuestThatStoodStillHasNoDowntime() throws Exception {
        MoveTimes times = MoveTimes.of(
                List.of(event("STOP", 1), event("active", 100), event("device", 322), event("completed", 350)),
                List.of(),
                info(),
                Map.of());
        assertThat(times.downtimeMillis()).isEmpty();
        assertThat(times.gibPerSecond()).isCloseTo(4, within(1e-6));
    }
}
