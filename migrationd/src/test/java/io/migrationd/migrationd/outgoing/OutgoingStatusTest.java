package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Outgoing status")
class OutgoingStatusTest {
    private static final List<Event> COLUMNS = List.of(
            Event.START_SENDING,
            Event.REACH_GATE,
            Event.SWITCH_OVER,
            Event.COMPLETE,
            Event.FAIL,
            Event.CANCEL,
            Event.STOPPED,
            Event.HAND_OVER,
            Event.BREAK,
            Event.RECONNECT,
            Event.RECOVER,
            Event.RESUME);

    /** One column per event, in the order above; a dash is an illegal pair. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        SETUP          | ACTIVE - - - FAILED CANCELLING - - - - - -
        ACTIVE         | - PRE_SWITCHOVER DEVICE - FAILED CANCELLING - - - - - -
        PRE_SWITCHOVER | - - DEVICE - FAILED CANCELLING - - - - - -
        DEVICE         | - - - COMPLETED FAILED CANCELLING - POSTCOPY_ACTIVE - - - -
        POSTCOPY_ACTIVE        | - - - COMPLETED FAILED - - - POSTCOPY_PAUSED - - -
        POSTCOPY_PAUSED        | - - - - FAILED - - - - POSTCOPY_RECOVER_SETUP - -
        POSTCOPY_RECOVER_SETUP | - - - - FAILED - - - POSTCOPY_PAUSED - POSTCOPY_RECOVER -
        POSTCOPY_RECOVER       | - - - COMPLETED FAILED - - - POSTCOPY_PAUSED - - POSTCOPY_ACTIVE
        COMPLETED      | - - - - - - - - - - - -
        FAILED         | - - - - - - - - - - - -
        CANCELLING     | - - - - - - CANCELLED - - - - -
        CANCELLED      | - - - - - - - - - - - -
        """)
    void everyPairIsARowOrRejected(OutgoingStatus from, String next) {
        List<String> row = List.of(next.split(" "));
        assertThat(row).hasSameSizeAs(COLUMNS);
        for (int i = 0; i < COLUMNS.size(); i++) {
            Event event = COLUMNS.get(i);
            if ("-".equals(row.get(i))) {
                assertThatThrownBy(() -> from.next(event))
                        .isInstanceOf(IllegalTransitionException.class)
                        .hasMessageContainingAll("outgoing migration", from.name(), event.name());
            } else {
                assertThat(from.next(event)).as("%s on %s", from, event).hasToString(row.get(i));
            }
        }
    }

    @Test
    void nothingIsForgotten() {
        assertThat(COLUMNS).containsExactlyInAnyOrder(Event.values());
        assertThat(OutgoingStatus.TABLE).hasSize(27).doesNotHaveDuplicates();
    }

    @Test
    void hasTheNamesOfQemu() {
        assertThat(Arrays.stream(OutgoingStatus.values()).map(OutgoingStatus::qmpName))
                .containsExactly(
                        "setup",
                        "active",
                        "pre-switchover",
                        "device",
                        "postcopy-active",
                        "postcopy-paused",
                        "postcopy-recover-setup",
                        "postcopy-recover",
                        "completed",
                        "failed",
                        "cancelling",
                        "cancelled");
    }

    @ParameterizedTest
    @CsvSource({
        "SETUP, false", "ACTIVE, false", "PRE_SWITCHOVER, false", "DEVICE, false",
        "POSTCOPY_ACTIVE, false", "POSTCOPY_PAUSED, false", "POSTCOPY_RECOVER_SETUP, false", "POSTCOPY_RECOVER, false",
        "COMPLETED, true", "FAILED, true", "CANCELLING, false", "CANCELLED, true"
    })
    void nothingFollowsATerminalStatus(OutgoingStatus status, boolean terminal) {
        assertThat(status.isTerminal()).isEqualTo(terminal);
    }
}
