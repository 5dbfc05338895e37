package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.peer.MoveOrder;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;

/**
 * What a source has to know of a move besides the machine's state. Written to the journal once.
 *
 * @param id of the move
 * @param qmp the QEMU's socket
 * @param peer the other host, as it was named
 * @param addresses of its daemon
 * @param attempt 1 for the first one; a retry is a move of its own
 * @param startedAtMillis wall clock
 */
public record SourceJob(
        UUID id,
        Path qmp,
        String peer,
        List<MigrationUri> addresses,
        MoveSettings settings,
        MoveOrder order,
        int attempt,
        long startedAtMillis) {
    /** Copies the list. */
    public SourceJob {
        addresses = List.copyOf(addresses);
    }
}
