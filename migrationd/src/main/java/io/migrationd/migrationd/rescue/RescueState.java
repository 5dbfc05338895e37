package io.migrationd.migrationd.rescue;

/** Where a rescue stands. */
public enum RescueState {
    /** No peer has come yet, or no address was dialled yet. */
    WAITING,
    /** A peer is there, and both find out what is to be sent. */
    AGREEING,
    /** Pages are on their way. */
    TRANSFERRING,
    /**
     * The other side has sent or was sent everything, and how it ends hangs on one more message: not a moment to stop
     * or kill anything.
     */
    LAST_WORD,
    /** The connection broke. Both sides are as they were before the rescue, and it can be repeated. */
    PAUSED,
    /** Done. */
    COMPLETED,
    /** It cannot go on. */
    FAILED,
    /** Given up by an operator. */
    CANCELLED;

    /** Whether nothing follows. */
    public boolean isTerminal() {
        return this == COMPLETED || this == FAILED || this == CANCELLED;
    }
}
