package io.migrationd.protocol.stream;

/** A state machine was given an event that its table does not list for its state. */
public final class IllegalTransitionException extends RuntimeException {
    /** Names the machine, the state it stays in, and the event. */
    public IllegalTransitionException(String machine, Object state, Object event) {
        super("%s: %s is not possible in state %s".formatted(machine, event, state));
    }
}
