package io.migrationd.migrationd.move.policy;

/**
 * What an operator grants a move.
 *
 * @param timeBudgetMillis for all of precopy, 0 for no end; time with the link down included
 * @param downtimeStartMillis QEMU's downtime-limit at the start
 * @param downtimeMaxMillis what it is raised to at most
 * @param downtimeSteps in how many steps, 1 or more
 * @param postcopy whether the move may end by postcopy
 * @param autoConverge whether the guest may be slowed down
 * @param stallPasses that many passes in a row without progress are a stall
 * @param stallPercent a pass makes progress if it leaves at least this many percent less than the one before
 */
public record MoveLimits(
        long timeBudgetMillis,
        long downtimeStartMillis,
        long downtimeMaxMillis,
        int downtimeSteps,
        PostcopyRule postcopy,
        boolean autoConverge,
        int stallPasses,
        int stallPercent) {
    /** 10 minutes, 300 ms up to 2 s in 5 steps, postcopy when needed, no slowing down, 3 passes of less than 10 %. */
    public static final MoveLimits DEFAULT =
            new MoveLimits(600_000, 300, 2000, 5, PostcopyRule.WHEN_NEEDED, false, 3, 10);

    /** Checks ranges. */
    public MoveLimits {
        require(timeBudgetMillis >= 0, "time-budget-millis", timeBudgetMillis, "0 or more");
        require(downtimeStartMillis >= 1, "downtime-start-millis", downtimeStartMillis, "1 or more");
        require(
                downtimeMaxMillis >= downtimeStartMillis && downtimeMaxMillis <= 2_000_000,
                "downtime-max-millis",
                downtimeMaxMillis,
                "the start to 2000000, QEMU's own limit");
        require(downtimeSteps >= 1 && downtimeSteps <= 1000, "downtime-steps", downtimeSteps, "1 to 1000");
        require(stallPasses >= 1 && stallPasses <= 1000, "stall-passes", stallPasses, "1 to 1000");
        require(stallPercent >= 1 && stallPercent <= 99, "stall-percent", stallPercent, "1 to 99");
    }

    private static void require(boolean condition, String key, long value, String allowed) {
        if (!condition) {
            throw new IllegalArgumentException("%s: %d is not %s".formatted(key, value, allowed));
        }
    }

    /** The downtime limit after {@code step} raises: from the start at 0 to the maximum at {@code downtimeSteps}. */
    public long downtimeAtStep(int step) {
        int bounded = Math.min(step, downtimeSteps);
        return downtimeStartMillis + (downtimeMaxMillis - downtimeStartMillis) * bounded / downtimeSteps;
    }
}
