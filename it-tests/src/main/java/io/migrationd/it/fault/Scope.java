package io.migrationd.it.fault;

/** Which connections of a {@link PostcopyLink} break. */
public enum Scope {
    ALL,
    /** The main connection, or that of a recovery. */
    MAIN,
    /** The others: the postcopy preempt channel. */
    PREEMPT
}
