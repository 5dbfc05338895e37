package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.RunState;
import java.util.List;
import java.util.Optional;

/**
 * How the run state of a process guest changes by what we ask of it. What the VMM says in a hello is no event: it is
 * the truth to start from. SHUTDOWN is not in the table: it is how a guest looks that has no connection.
 */
final class RunTransitions {
    enum Event {
        PAUSED,
        CONTINUED,
        STOPPED_FOR_SWITCHOVER,
        /** An earlier daemon has stopped it for a migration that is still under way. */
        FOUND_MIGRATING,
        MIGRATION_FAILED,
        RELEASED,
        LOADED,
        STARTED
    }

    record Transition(RunState from, Event on, RunState to) {}

    /** Whatever is not listed is illegal. */
    static final List<Transition> TABLE = List.of(
            new Transition(RunState.RUNNING, Event.PAUSED, RunState.PAUSED),
            new Transition(RunState.PAUSED, Event.CONTINUED, RunState.RUNNING),
            new Transition(RunState.RUNNING, Event.STOPPED_FOR_SWITCHOVER, RunState.FINISH_MIGRATE),
            new Transition(RunState.RUNNING, Event.FOUND_MIGRATING, RunState.FINISH_MIGRATE),
            new Transition(RunState.PAUSED, Event.FOUND_MIGRATING, RunState.FINISH_MIGRATE),
            new Transition(RunState.FINISH_MIGRATE, Event.FOUND_MIGRATING, RunState.FINISH_MIGRATE),
            new Transition(RunState.FINISH_MIGRATE, Event.MIGRATION_FAILED, RunState.RUNNING),
            new Transition(RunState.FINISH_MIGRATE, Event.RELEASED, RunState.POSTMIGRATE),
            new Transition(RunState.PAUSED, Event.RELEASED, RunState.POSTMIGRATE),
            new Transition(RunState.POSTMIGRATE, Event.RELEASED, RunState.POSTMIGRATE),
            new Transition(RunState.INMIGRATE, Event.LOADED, RunState.PAUSED),
            new Transition(RunState.INMIGRATE, Event.STARTED, RunState.RUNNING));

    private RunTransitions() {}

    /** Where {@code event} leads; empty if it must not happen in that state. */
    static Optional<RunState> next(RunState state, Event event) {
        return TABLE.stream()
                .filter(t -> t.from() == state && t.on() == event)
                .map(Transition::to)
                .findFirst();
    }
}
