package io.migrationd.migrationd.session;

/**
 * How a postcopy migration whose connection broke comes back.
 *
 * @param auto the source dials again by itself, and the destination keeps its address open
 * @param maxIntervalMillis the longest pause between two attempts of the source
 * @param deadPeerMillis how long a peer may be silent in postcopy before the connection counts as broken
 * @param answerMillis how long a destination that has ended answers a source that has not heard of it
 */
public record RecoverySettings(boolean auto, long maxIntervalMillis, long deadPeerMillis, long answerMillis) {
    /** Automatic, at least one attempt per second, dead after 5 s, answers for an hour. */
    public static final RecoverySettings DEFAULTS = new RecoverySettings(true, 1_000, 5_000, 3_600_000);
}
