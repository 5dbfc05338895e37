package io.migrationd.migrationd.outgoing;

/** How postcopy over one connection, or an attempt to come back, has ended. */
enum PostcopyOutcome {
    /** The destination has everything. */
    COMPLETE,
    /** The destination never ran the guest and never will; the right to run was taken back. */
    TAKEN_BACK,
    /** The connection broke. */
    PAUSED,
    /** The daemon stops; the next one goes on. */
    STOPPED
}
