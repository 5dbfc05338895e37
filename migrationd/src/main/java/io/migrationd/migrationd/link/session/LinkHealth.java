package io.migrationd.migrationd.link.session;

import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * How the connection of a session is.
 *
 * @param up whether it stands
 * @param since when it came to stand, or broke
 * @param outageCount how often it broke after it had stood
 * @param outages the last of these, oldest first, at most {@link #MAX_OUTAGES}; one that lasts is not among them
 * @param rttNanos round trip of the last ping, 0 before the first one
 * @param minRttNanos the shortest of the last pings: the path without our own queues
 * @param deliveredBytesPerSecond what the far end has lately delivered of our channels
 * @param address the address in use, or that of the last connection
 */
public record LinkHealth(
        boolean up,
        Instant since,
        long outageCount,
        List<Outage> outages,
        long rttNanos,
        long minRttNanos,
        long deliveredBytesPerSecond,
        Optional<String> address) {
    /** Outages that are kept. */
    public static final int MAX_OUTAGES = 32;

    /** A time without connection. */
    public record Outage(Instant at, Duration duration, String reason) {}
}
