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
    /** The guest runs here and its RAM is on the way. */
    POSTCOPY_ACTIVE("postcopy-active"),
    /** The guest runs here until it needs a page; the connection is gone and another is awaited. */
    POSTCOPY_PAUSED("postcopy-paused"),
    /** The source is back and asks what is here. */
    POSTCOPY_RECOVER("postcopy-recover"),
    /** The guest is here. */
    COMPLETED("completed"),
    /** It did not work; nothing of it is left here. */
    FAILED("failed"),
    /** An operator cancelled; nothing of it is left here. */
    CANCELLED("cancelled");

    /** What happens to it. */
    public enum Event {
        CONNECT,
        RUN,
        PAUSE,
        RECOVER,
        RESUME,
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
            new Transition(ACTIVE, Event.CANCEL, CANCELLED),
            new Transition(ACTIVE, Event.RUN, POSTCOPY_ACTIVE),
            new Transition(POSTCOPY_ACTIVE, Event.PAUSE, POSTCOPY_PAUSED),
            new Transition(POSTCOPY_ACTIVE, Event.COMPLETE, COMPLETED),
            new Transition(POSTCOPY_ACTIVE, Event.FAIL, FAILED),
            new Transition(POSTCOPY_PAUSED, Event.RECOVER, POSTCOPY_RECOVER),
            new Transition(POSTCOPY_PAUSED, Event.FAIL, FAILED),
            new Transition(POSTCOPY_RECOVER, Event.RESUME, POSTCOPY_ACTIVE),
            new Transition(POSTCOPY_RECOVER, Event.PAUSE, POSTCOPY_PAUSED),
            new Transition(POSTCOPY_RECOVER, Event.FAIL, FAILED));

    private final String qmpName;

    IncomingStatus(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in query-migrate and in events. */
    public String qmpName() {
        return qmpName;
    }

    /** Whether the guest runs here, or may, and waits for RAM. */
    public boolean isPostcopy() {
        return this == POSTCOPY_ACTIVE || this == POSTCOPY_PAUSED || this == POSTCOPY_RECOVER;
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
