package io.migrationd.migrationd.guest.process;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.process.RunTransitions.Event;
import io.migrationd.migrationd.guest.process.RunTransitions.Transition;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class RunTransitionsTest {
    static Stream<Arguments> everyPair() {
        return Stream.of(RunState.values())
                .flatMap(state -> Stream.of(Event.values()).map(event -> Arguments.of(state, event)));
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("everyPair")
    void isARowOfTheTableOrIllegal(RunState state, Event event) {
        List<RunState> rows = RunTransitions.TABLE.stream()
                .filter(t -> t.from() == state && t.on() == event)
                .map(Transition::to)
                .toList();

        assertThat(rows).hasSizeLessThan(2);
        assertThat(RunTransitions.next(state, event)).isEqualTo(rows.stream().findFirst());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("eventsThatStart")
    void nothingStartsAGuestThatHasMigratedAway(Event event) {
        assertThat(RunTransitions.next(RunState.POSTMIGRATE, event)).isEqualTo(Optional.empty());
    }

    static Stream<Event> eventsThatStart() {
        return Stream.of(Event.CONTINUED, Event.MIGRATION_FAILED, Event.STARTED, Event.LOADED);
    }
}
