package io.migrationd.migrationd.incoming;

import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.List;

/**
 * Where an incoming migration stands, with QEMU's names. Wire source: QEMU 10.0 qapi/migration.json, MigrationStatus.
 */
public enum IncomingStatus {
    /** Listening. */
    SETUP("setup"),
    /** A source is connected. */
    ACTIVE("active"),
    /** The guest is here. */
    COMPLETED("completed"),
    /** It did not work; nothing of it is left here. */
    FAILED("failed"),
    /** An operator cancelled; nothing of it is left here. */
    CANCELLED("cancelled");

    /** What happens to it. */
    public enum Event {
        CONNECT,
        COMPLETE,
        FAIL,
        CANCEL
    }

    /** A row of the table. */
    public record Transition(IncomingStatus from, Event on, IncomingStatus to) {}

    /** Whatever is not listed is illegal. */
    public static final List<Transition> TABLE = List.of(
            new Transition(SETUP, Event.CONNECT, ACTIVE),
            new Transition(SETUP, Event.FAIL, FAILED),
            new Transition(SETUP, Event.CANCEL, CANCELLED),
            new Transition(ACTIVE, Event.COMPLETE, COMPLETED),
            new Transition(ACTIVE, Event.FAIL, FAILED),
            new Transition(ACTIVE, Event.CANCEL, CANCELLED));

    private final String qmpName;

    IncomingStatus(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in query-migrate and in events. */
    public String qmpName() {
        return qmpName;
    }

    /** Whether nothing follows. */
    public boolean isTerminal() {
        return this == COMPLETED || this == FAILED || this == CANCELLED;
    }

    /**
     * Where {@code event} leads.
     *
     * @throws IllegalTransitionException if it must not happen here
     */
    public IncomingStatus next(Event event) {
        return TABLE.stream()
                .filter(t -> t.from == this && t.on == event)
                .map(Transition::to)
                .findFirst()
                .orElseThrow(() -> new IllegalTransitionException("incoming migration", this, event));
    }
}
