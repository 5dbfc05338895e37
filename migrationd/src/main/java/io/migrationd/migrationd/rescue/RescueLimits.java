package io.migrationd.migrationd.rescue;

/**
 * How long a rescue waits, and how fast it sends.
 *
 * @param patienceMillis how long a QEMU may be silent when an answer is due before its connection is given up. Long,
 *     because a QEMU 7.2 destination does not survive an attempt that is given up before RESUME
 * @param peerSilenceMillis how long a caller of a drain may say nothing
 * @param maxBandwidth bytes per second of pages that nobody waits for, 0 is unlimited
 */
public record RescueLimits(long patienceMillis, long peerSilenceMillis, long maxBandwidth) {
    /** Two minutes, ten seconds, unlimited. */
    public static final RescueLimits DEFAULTS = new RescueLimits(120_000, 10_000, 0);
}
