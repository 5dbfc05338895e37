package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.ProtocolException;
import java.util.List;

/**
 * Incoming postcopy: which of the source's commands are legal when. Wire source: QEMU 10.0 migration/postcopy-ram.h
 * enum PostcopyState, migration/savevm.c loadvm_postcopy_handle_*.
 */
public enum IncomingPostcopyState {
    NONE,
    ADVISED,
    DISCARDING,
    LISTENING,
    RUNNING,
    ENDED;

    /** What the source commands, or, for {@code END}, that the incoming migration is over, with or without success. */
    public enum Event {
        ADVISE,
        DISCARD,
        LISTEN,
        RUN,
        END
    }

    /** A row of {@link #TABLE}. */
    public record Transition(IncomingPostcopyState from, Event on, IncomingPostcopyState to) {}

    /** Whatever is not listed is illegal. An advised migration may complete as precopy, and it may fail anywhere. */
    public static final List<Transition> TABLE = List.of(
            new Transition(NONE, Event.ADVISE, ADVISED),
            new Transition(ADVISED, Event.DISCARD, DISCARDING),
            new Transition(ADVISED, Event.LISTEN, LISTENING),
            new Transition(ADVISED, Event.END, ENDED),
            new Transition(DISCARDING, Event.DISCARD, DISCARDING),
            new Transition(DISCARDING, Event.LISTEN, LISTENING),
            new Transition(DISCARDING, Event.END, ENDED),
            new Transition(LISTENING, Event.RUN, RUNNING),
            new Transition(LISTENING, Event.END, ENDED),
            new Transition(RUNNING, Event.END, ENDED));

    /**
     * The state after {@code event}.
     *
     * @throws IllegalTransitionException if the table has no such row
     */
    public IncomingPostcopyState next(Event event) {
        return TABLE.stream()
                .filter(row -> row.from == this && row.on == event)
                .map(Transition::to)
                .findFirst()
                .orElseThrow(() -> new IllegalTransitionException("incoming postcopy", this, event));
    }

    /**
     * As {@link #next}, for an event that a command at {@code offset} of the stream caused.
     *
     * @throws ProtocolException if the command is not legal in this state
     */
    public IncomingPostcopyState nextOnCommand(Event event, long offset) throws ProtocolException {
        try {
            return next(event);
        } catch (IllegalTransitionException e) {
            throw new ProtocolException(
                    "command.postcopy-state", offset, "a command that is legal in state " + this, event, e);
        }
    }
}
