package io.migrationd.protocol.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.stream.IncomingPostcopyState.Event;
import io.migrationd.protocol.stream.IncomingPostcopyState.Transition;
import io.migrationd.protocol.wire.ProtocolException;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Incoming postcopy")
class IncomingPostcopyStateTest {
    static Stream<Arguments> pairs() {
        return Arrays.stream(IncomingPostcopyState.values())
                .flatMap(state -> Arrays.stream(Event.values()).map(event -> Arguments.of(state, event)));
    }

    @ParameterizedTest(name = "{1} in {0}")
    @MethodSource("pairs")
    void isARowOfTheTableOrRejected(IncomingPostcopyState state, Event event) {
        List<Transition> rows = IncomingPostcopyState.TABLE.stream()
                .filter(row -> row.from() == state && row.on() == event)
                .toList();
        if (rows.isEmpty()) {
            assertThatThrownBy(() -> state.next(event))
                    .isInstanceOf(IllegalTransitionException.class)
                    .hasMessage("incoming postcopy: %s is not possible in state %s".formatted(event, state));
        } else {
            assertThat(rows).hasSize(1);
            assertThat(state.next(event)).isEqualTo(rows.getFirst().to());
        }
    }

    @Test
    void endsForGood() {
        assertThat(IncomingPostcopyState.TABLE).noneMatch(row -> row.from() == IncomingPostcopyState.ENDED);
    }

    @Test
    void blamesThePeerForACommandThatIsNotLegal() {
        assertThatThrownBy(() -> IncomingPostcopyState.ADVISED.nextOnCommand(Event.RUN, 77))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("command.postcopy-state at offset 77: expected a command that is legal in state ADVISED,"
                        + " got RUN")
                .hasCauseInstanceOf(IllegalTransitionException.class);
    }
}
