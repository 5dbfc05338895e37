package io.migrationd.migrationd.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.core.JsonParseException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("QMP events")
class QmpEventsTest {
    private final QmpEvents events = new QmpEvents();

    @Test
    void losesTheOldestEventsOfAWatcherThatStandsStill() throws Exception {
        for (int i = 0; i <= QmpEvents.MAX_EVENTS; i++) {
            deliver("E" + i);
        }
        assertThat(events.await(0).orElseThrow().name()).isEqualTo("E1");
    }

    @Test
    void givesOutWhatCameBeforeTheFailureAndThenTheFirstFailure() throws Exception {
        deliver("STOP");
        events.closed(new QmpClosedException("x", "first"));
        events.closed(new QmpClosedException("x", "second"));
        assertThat(events.await(0).orElseThrow().name()).isEqualTo("STOP");
        assertThatThrownBy(() -> events.await(0)).hasMessage("x: first");
    }

    private void deliver(String name) throws JsonParseException {
        events.event(new QmpEvent(Json.parseObject("{\"event\": \"%s\"}".formatted(name))));
    }
}
