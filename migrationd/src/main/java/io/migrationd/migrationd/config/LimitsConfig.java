package io.migrationd.migrationd.config;

/**
 * What the daemon spends at most.
 *
 * @param maxParkedRamBytes RAM of all parked guests together
 * @param maxGuests guests of all kinds
 * @param deviceStateBytes device state of one guest
 * @param connectTimeoutMillis for an outgoing connection to stand
 * @param peerSilenceMillis from accepting a connection to its first byte, and for answers that a peer owes
 */
public record LimitsConfig(
        long maxParkedRamBytes,
        int maxGuests,
        int deviceStateBytes,
        long connectTimeoutMillis,
        long peerSilenceMillis) {}
