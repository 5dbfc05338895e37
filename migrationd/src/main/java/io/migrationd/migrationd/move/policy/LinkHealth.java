package io.migrationd.migrationd.move.policy;

/** The link between the daemons, as far as a decision depends on it. */
public enum LinkHealth {
    /** Bytes flow. */
    UP,
    /** It works, but has been down or slow a moment ago: nothing is begun that a stall would make dangerous. */
    SHAKY,
    /** No byte gets through. */
    DOWN
}
