package io.migrationd.migrationd.move;

/** How a move ended. */
public enum Outcome {
    /** The guest is at the destination. */
    MOVED,
    /** The guest is at the source, as before. */
    FAILED_AT_SOURCE,
    /** The same, because somebody asked for it. */
    CANCELLED,
    /** A QEMU process died and what it alone had is gone. */
    LOST,
    /** The guest may have run at a destination that is dead now, or at a source that is: an operator decides. */
    UNSURE
}
