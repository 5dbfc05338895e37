package io.migrationd.it.fault;

/** Which way bytes go through a {@link LinkProxy}. */
public enum Direction {
    /** From the end that connected to the proxy to the target: a migration's stream. */
    FORWARD,
    /** From the target back: a migration's return path. */
    REVERSE
}
