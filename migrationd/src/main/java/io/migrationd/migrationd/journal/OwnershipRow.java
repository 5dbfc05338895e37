package io.migrationd.migrationd.journal;

import java.time.Instant;
import java.util.UUID;

/**
 * The right to run a guest on this host.
 *
 * @param guest its uuid
 * @param name its name on this host
 * @param epoch goes up by one with each hand-over
 * @param state a name of {@code move.Ownership}
 * @param since when it was written
 */
public record OwnershipRow(UUID guest, String name, long epoch, String state, Instant since) {}
