package io.migrationd.migrationd.move.policy;

import java.util.List;

/** How far a policy has gone. Decisions that are not in the table keep the stage. */
public enum PolicyStage {
    /** Precopy, the guest at full speed. */
    PLAIN,
    /** Precopy with auto-converge. */
    THROTTLED,
    /** Postcopy was asked for: nothing is left to decide. */
    POSTCOPY,
    /** The move was given up. */
    CANCELLED;

    /** What is decided. */
    public enum Event {
        /** Auto-converge is switched on. */
        THROTTLE_ON,
        /** Auto-converge is switched off. */
        THROTTLE_OFF,
        /** Postcopy is started. */
        START_POSTCOPY,
        /** The move is given up. */
        CANCEL
    }

    /** A row of the table. */
    public record Transition(PolicyStage from, Event on, PolicyStage to) {}

    /** Whatever is not listed is not decided in that stage. THROTTLE_OFF in PLAIN: somebody else had switched it on. */
    public static final List<Transition> TABLE = List.of(
            new Transition(PLAIN, Event.THROTTLE_ON, THROTTLED),
            new Transition(PLAIN, Event.THROTTLE_OFF, PLAIN),
            new Transition(PLAIN, Event.START_POSTCOPY, POSTCOPY),
            new Transition(PLAIN, Event.CANCEL, CANCELLED),
            new Transition(THROTTLED, Event.THROTTLE_OFF, PLAIN),
            new Transition(THROTTLED, Event.START_POSTCOPY, POSTCOPY),
            new Transition(THROTTLED, Event.CANCEL, CANCELLED));

    /** The stage after {@code event}. */
    public PolicyStage next(Event event) {
        return TABLE.stream()
                .filter(row -> row.from == this && row.on == event)
                .map(Transition::to)
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("policy: %s in %s".formatted(event, this)));
    }
}
