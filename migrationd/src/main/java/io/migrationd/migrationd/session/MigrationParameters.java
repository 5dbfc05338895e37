package io.migrationd.migrationd.session;

/**
 * Limits of a migration, QEMU's names and defaults. Immutable: {@code migrate-set-parameters} replaces the whole record
 * after validation, the engines read the current one at every step.
 *
 * @param maxBandwidth bytes per second, 0 is unlimited
 * @param downtimeLimitMillis how long the guest may be stopped, 0 to 2 000 000
 * @param availSwitchoverBandwidth bytes per second to assume for the last pass, 0 is "as measured"
 * @param xbzrleCacheSize bytes of old pages kept for deltas, a power of two of at least one page
 * @param announceInitialMillis, announceMaxMillis, announceRounds, announceStepMillis accepted and shown; a daemon has
 *     no network cards to announce
 * @param maxPostcopyBandwidth bytes per second of pages that nobody waits for, 0 is unlimited
 * @param postcopyPolicy ours: when to go over to postcopy
 * @param postcopyBudgetMillis ours: how long policy {@code auto} tries precopy
 */
public record MigrationParameters(
        long maxBandwidth,
        long downtimeLimitMillis,
        long availSwitchoverBandwidth,
        long xbzrleCacheSize,
        long announceInitialMillis,
        long announceMaxMillis,
        long announceRounds,
        long announceStepMillis,
        long maxPostcopyBandwidth,
        PostcopyPolicy postcopyPolicy,
        long postcopyBudgetMillis) {
    /** The longest downtime limit that QEMU accepts. */
    public static final long MAX_DOWNTIME_LIMIT_MILLIS = 2_000_000;

    /** The largest delta cache accepted: it is heap-free native memory, but memory all the same. */
    public static final long MAX_XBZRLE_CACHE_SIZE = 4L << 30;

    /** QEMU's defaults. */
    public static final MigrationParameters DEFAULTS =
            new MigrationParameters(128L << 20, 300, 0, 64L << 20, 50, 550, 5, 100, 0, PostcopyPolicy.MANUAL, 60_000);

    /** Names the parameter, the value and what is allowed. */
    public MigrationParameters {
        require("max-bandwidth", maxBandwidth, 0, Long.MAX_VALUE);
        require("downtime-limit", downtimeLimitMillis, 0, MAX_DOWNTIME_LIMIT_MILLIS);
        require("avail-switchover-bandwidth", availSwitchoverBandwidth, 0, Long.MAX_VALUE);
        require("xbzrle-cache-size", xbzrleCacheSize, 4096, MAX_XBZRLE_CACHE_SIZE);
        if (Long.bitCount(xbzrleCacheSize) != 1) {
            throw new IllegalArgumentException(
                    "Parameter 'xbzrle-cache-size' expects a power of two no less than the target page size");
        }
        require("announce-initial", announceInitialMillis, 0, 100_000);
        require("announce-max", announceMaxMillis, 0, 100_000);
        require("announce-rounds", announceRounds, 0, 1000);
        require("announce-step", announceStepMillis, 1, 10_000);
        require("max-postcopy-bandwidth", maxPostcopyBandwidth, 0, Long.MAX_VALUE);
        require("postcopy-budget", postcopyBudgetMillis, 0, 86_400_000);
    }

    private static void require(String name, long value, long lowest, long highest) {
        if (value < lowest || value > highest) {
            throw new IllegalArgumentException("Parameter '%s' expects an integer in the range of %d to %d, not %d"
                    .formatted(name, lowest, highest, value));
        }
    }
}
