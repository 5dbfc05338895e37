package io.migrationd.migrationd.move;

/** What a host's journal says of its right to run a guest. */
public enum Ownership {
    /** The guest may run here. */
    OWNER,
    /** It was given away: it may not run here. */
    RELEASED,
    /** A move brings it here; it may not run here yet. */
    STANDBY,
    /** This host's part in a move is over and the guest never ran here. */
    DECLINED,
    /** Nobody can say whether it has run here: an operator decides. */
    UNSURE
}
