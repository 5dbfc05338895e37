package io.migrationd.migrationd.move.policy;

/**
 * Whether a move may go over to postcopy.
 *
 * @param allowed false: never
 * @param afterMillis 0: when nothing else helps; else also at that time of the move, whether precopy gets on or not,
 *     and not before it
 */
public record PostcopyRule(boolean allowed, long afterMillis) {
    /** Never. */
    public static final PostcopyRule NEVER = new PostcopyRule(false, 0);

    /** When nothing else helps. */
    public static final PostcopyRule WHEN_NEEDED = new PostcopyRule(true, 0);

    /** Checks the time. */
    public PostcopyRule {
        if (afterMillis < 0 || (!allowed && afterMillis != 0)) {
            throw new IllegalArgumentException("postcopy " + (allowed ? "after " : "never, but after ") + afterMillis);
        }
    }

    /** At that time of the move at the latest, and not before. */
    public static PostcopyRule after(long millis) {
        return new PostcopyRule(true, millis);
    }
}
