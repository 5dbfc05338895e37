package io.migrationd.migrationd.journal;

import java.time.Instant;
import java.util.List;
import java.util.UUID;

/**
 * A move, on one of its hosts.
 *
 * @param role {@code source} or {@code target}
 * @param guest the uuid
 * @param name the guest's name on this host
 * @param peers the peer's addresses, without line breaks
 * @param phase for people; the state has it too
 * @param state of the machine, by {@code move.MoveCodec}
 * @param ended whether there is nothing left to go on with
 */
public record MoveRow(
        UUID id,
        String role,
        UUID guest,
        String name,
        List<String> peers,
        String phase,
        String state,
        boolean ended,
        Instant started,
        Instant updated) {
    /** Copies the list. */
    public MoveRow {
        peers = List.copyOf(peers);
    }
}
