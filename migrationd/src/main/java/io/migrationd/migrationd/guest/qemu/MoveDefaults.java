package io.migrationd.migrationd.guest.qemu;

/**
 * How a guest is moved if the operator says nothing else.
 *
 * @param downtimeLimitMillis the first limit
 * @param maxDowntimeMillis what the limit may be raised to
 * @param timeBudgetMillis for the whole move, 0 for no limit
 * @param multifdChannels 0 for none
 * @param retries of a precopy that failed
 */
public record MoveDefaults(
        long downtimeLimitMillis,
        long maxDowntimeMillis,
        long timeBudgetMillis,
        PostcopyUse postcopy,
        boolean preempt,
        int multifdChannels,
        boolean xbzrle,
        boolean autoConverge,
        AfterSuccess afterSuccess,
        int retries) {
    /** Without a {@code [move]} table. */
    public static final MoveDefaults NONE =
            new MoveDefaults(300, 3_000, 0, PostcopyUse.NEVER, false, 0, false, false, AfterSuccess.QUIT, 3);

    /** When a move may go on in postcopy. */
    public enum PostcopyUse {
        /** Precopy only. */
        NEVER("never"),
        /** Always, after the first pass. */
        AFTER_FIRST_PASS("after-first-pass"),
        /** If precopy does not converge. */
        WHEN_STUCK("when-stuck");

        private final String configName;

        PostcopyUse(String configName) {
            this.configName = configName;
        }

        /** The name in definitions and messages. */
        public String configName() {
            return configName;
        }
    }

    /** What becomes of the source's QEMU. */
    public enum AfterSuccess {
        /** It ends. */
        QUIT("quit"),
        /** It stays, stopped. */
        KEEP("keep");

        private final String configName;

        AfterSuccess(String configName) {
            this.configName = configName;
        }

        /** The name in definitions and messages. */
        public String configName() {
            return configName;
        }
    }
}
