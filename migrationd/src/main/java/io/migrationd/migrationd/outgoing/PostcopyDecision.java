package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.session.MigrationParameters;

/** Whether precopy has had its chance. Pure: what was measured comes in. One thread. */
final class PostcopyDecision {
    private static final int LOOKS = 3;

    private long lastPass;
    private int lostLooks;

    /**
     * Whether the policy wants postcopy now.
     *
     * @param firstPassDone whether every page was sent once
     * @param pass number of the last look at the dirty log; the rates count once for each
     * @param dirtyBytesPerSecond what the guest wrote between the last two looks
     * @param bytesPerSecond what the link carries
     * @param elapsedMillis since the start
     */
    boolean isDue(
            MigrationParameters parameters,
            boolean firstPassDone,
            long pass,
            double dirtyBytesPerSecond,
            double bytesPerSecond,
            long elapsedMillis) {
        if (firstPassDone && pass != lastPass) {
            lostLooks = bytesPerSecond > 0 && dirtyBytesPerSecond >= bytesPerSecond ? lostLooks + 1 : 0;
        }
        lastPass = pass;
        return switch (parameters.postcopyPolicy()) {
            case NEVER, MANUAL -> false;
            case AFTER_FIRST_PASS -> firstPassDone;
            case AUTO -> firstPassDone && (lostLooks >= LOOKS || elapsedMillis >= parameters.postcopyBudgetMillis());
        };
    }
}
