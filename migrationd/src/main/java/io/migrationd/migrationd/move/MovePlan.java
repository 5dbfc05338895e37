package io.migrationd.migrationd.move;

/**
 * What never changes during a move; both daemons have the same.
 *
 * @param mode whether postcopy may be used
 * @param guestRuns whether the guest was running when the move began; a paused guest arrives paused
 * @param epoch the epoch of the guest's ownership at the source before the move
 */
public record MovePlan(Mode mode, boolean guestRuns, long epoch) {
    /** What the operator allows. */
    public enum Mode {
        /** The guest is stopped until all its memory is at the destination. */
        PRECOPY,
        /** As above, but the guest may be switched before all its memory has arrived. */
        POSTCOPY
    }

    /** Of the release and the grant. */
    public long grantEpoch() {
        return epoch + 1;
    }

    /** Of a source that has taken the guest back after its release. */
    public long returnEpoch() {
        return epoch + 2;
    }
}
