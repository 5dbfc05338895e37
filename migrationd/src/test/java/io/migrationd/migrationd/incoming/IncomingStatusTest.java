package io.migrationd.migrationd.incoming;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.incoming.IncomingStatus.Event;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Incoming status")
class IncomingStatusTest {
    private static final List<Event> COLUMNS = List.of(
            Event.CONNECT,
            Event.COMPLETE,
            Event.FAIL,
            Event.CANCEL,
            Event.RUN,
            Event.PAUSE,
            Event.RECOVER,
            Event.RESUME);

    /** One column per event, in the order above; a dash is an illegal pair. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        SETUP            | ACTIVE - FAILED CANCELLED - - - -
        ACTIVE           | - COMPLETED FAILED CANCELLED POSTCOPY_ACTIVE - - -
        POSTCOPY_ACTIVE  | - COMPLETED FAILED - - POSTCOPY_PAUSED - -
        POSTCOPY_PAUSED  | - - FAILED - - - POSTCOPY_RECOVER -
        POSTCOPY_RECOVER | - - FAILED - - POSTCOPY_PAUSED - POSTCOPY_ACTIVE
        COMPLETED        | - - - - - - - -
        FAILED           | - - - - - - - -
        CANCELLED        | - - - - - - - -
        """)
    void everyPairIsARowOrRejected(IncomingStatus from, String targets) {
        List<String> row = List.of(targets.split(" "));
        for (int i = 0; i < COLUMNS.size(); i++) {
            Event event = COLUMNS.get(i);
            if ("-".equals(row.get(i))) {
                assertThatThrownBy(() -> from.next(event))
                        .isInstanceOf(IllegalTransitionException.class)
                        .hasMessageContainingAll("incoming migration", from.name(), event.name());
            } else {
                assertThat(from.next(event)).as("%s on %s", from, event).hasToString(row.get(i));
            }
        }
    }

    @Test
    void nothingIsForgotten() {
        assertThat(COLUMNS).containsExactlyInAnyOrder(Event.values());
        assertThat(IncomingStatus.TABLE).hasSize(15).doesNotHaveDuplicates();
    }

    @Test
    void hasTheNamesOfQemu() {
        assertThat(Arrays.stream(IncomingStatus.values()).map(IncomingStatus::qmpName))
                .containsExactly(
                        "setup",
                        "active",
                        "postcopy-active",
                        "postcopy-paused",
                        "postcopy-recover",
                        "completed",
                        "failed",
                        "cancelled");
        assertThat(Arrays.stream(IncomingStatus.values()).filter(IncomingStatus::isTerminal))
                .containsExactly(IncomingStatus.COMPLETED, IncomingStatus.FAILED, IncomingStatus.CANCELLED);
    }
}
