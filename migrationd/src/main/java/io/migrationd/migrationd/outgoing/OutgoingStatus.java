package io.migrationd.migrationd.outgoing;

import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.List;

/**
 * Where an outgoing migration stands, with QEMU's names. Wire source: QEMU 10.0 qapi/migration.json, MigrationStatus.
 */
public enum OutgoingStatus {
    /** Connecting, and the first sections. */
    SETUP("setup"),
    /** Pages go out while the guest runs. */
    ACTIVE("active"),
    /** The guest is stopped and an operator's migrate-continue is awaited. */
    PRE_SWITCHOVER("pre-switchover"),
    /** The guest is stopped; the last pages and the devices go out, the destination's word is awaited. */
    DEVICE("device"),
    /** The guest was given to the destination and may run there; pages that it has not got yet go out. */
    POSTCOPY_ACTIVE("postcopy-active"),
    /** The same, but the connection broke; memory and what is left to send are kept. */
    POSTCOPY_PAUSED("postcopy-paused"),
    /** A new connection is being made. */
    POSTCOPY_RECOVER_SETUP("postcopy-recover-setup"),
    /** Over the new connection both sides find out what is left to send. */
    POSTCOPY_RECOVER("postcopy-recover"),
    /** The destination has the guest. */
    COMPLETED("completed"),
    /** It did not work; {@code error-desc} says why and where the guest is. */
    FAILED("failed"),
    /** An operator cancelled; the threads are being stopped. */
    CANCELLING("cancelling"),
    /** Cancelled; the guest is where it was. */
    CANCELLED("cancelled");

    /** What happens to a migration. */
    public enum Event {
        START_SENDING,
        REACH_GATE,
        SWITCH_OVER,
        /** The right to run was given up before all pages were sent. */
        HAND_OVER,
        /** The connection broke, or an operator broke it. */
        BREAK,
        RECONNECT,
        RECOVER,
        RESUME,
        COMPLETE,
        FAIL,
        CANCEL,
        STOPPED
    }

    /** A row of the table. */
    public record Transition(OutgoingStatus from, Event on, OutgoingStatus to) {}

    /** Whatever is not listed is illegal. */
    public static final List<Transition> TABLE = List.of(
            new Transition(SETUP, Event.START_SENDING, ACTIVE),
            new Transition(SETUP, Event.FAIL, FAILED),
            new Transition(SETUP, Event.CANCEL, CANCELLING),
            new Transition(ACTIVE, Event.REACH_GATE, PRE_SWITCHOVER),
            new Transition(ACTIVE, Event.SWITCH_OVER, DEVICE),
            new Transition(ACTIVE, Event.FAIL, FAILED),
            new Transition(ACTIVE, Event.CANCEL, CANCELLING),
            new Transition(PRE_SWITCHOVER, Event.SWITCH_OVER, DEVICE),
            new Transition(PRE_SWITCHOVER, Event.FAIL, FAILED),
            new Transition(PRE_SWITCHOVER, Event.CANCEL, CANCELLING),
            new Transition(DEVICE, Event.COMPLETE, COMPLETED),
            new Transition(DEVICE, Event.FAIL, FAILED),
            new Transition(DEVICE, Event.CANCEL, CANCELLING),
            new Transition(DEVICE, Event.HAND_OVER, POSTCOPY_ACTIVE),
            new Transition(POSTCOPY_ACTIVE, Event.BREAK, POSTCOPY_PAUSED),
            new Transition(POSTCOPY_ACTIVE, Event.COMPLETE, COMPLETED),
            new Transition(POSTCOPY_ACTIVE, Event.FAIL, FAILED),
            new Transition(POSTCOPY_PAUSED, Event.RECONNECT, POSTCOPY_RECOVER_SETUP),
            new Transition(POSTCOPY_PAUSED, Event.FAIL, FAILED),
            new Transition(POSTCOPY_RECOVER_SETUP, Event.RECOVER, POSTCOPY_RECOVER),
            new Transition(POSTCOPY_RECOVER_SETUP, Event.BREAK, POSTCOPY_PAUSED),
            new Transition(POSTCOPY_RECOVER_SETUP, Event.FAIL, FAILED),
            new Transition(POSTCOPY_RECOVER, Event.RESUME, POSTCOPY_ACTIVE),
            new Transition(POSTCOPY_RECOVER, Event.COMPLETE, COMPLETED),
            new Transition(POSTCOPY_RECOVER, Event.BREAK, POSTCOPY_PAUSED),
            new Transition(POSTCOPY_RECOVER, Event.FAIL, FAILED),
            new Transition(CANCELLING, Event.STOPPED, CANCELLED));

    private final String qmpName;

    OutgoingStatus(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in query-migrate and in events. */
    public String qmpName() {
        return qmpName;
    }

    /** Whether the guest was given away with pages still to send: nothing but the destination's word ends this. */
    public boolean isPostcopy() {
        return switch (this) {
            case POSTCOPY_ACTIVE, POSTCOPY_PAUSED, POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER -> true;
            default -> false;
        };
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
    public OutgoingStatus next(Event event) {
        return TABLE.stream()
                .filter(t -> t.from == this && t.on == event)
                .map(Transition::to)
                .findFirst()
                .orElseThrow(() -> new IllegalTransitionException("outgoing migration", this, event));
    }
}
