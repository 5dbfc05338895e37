package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.link.Links;
import java.nio.file.Path;
import java.util.UUID;

/**
 * What rescues are made with on this host.
 *
 * @param state of the daemon: kept parts are in {@code moves/}, copies in {@code rescue/}
 * @param links not closed by a rescue
 * @param budget from which copies take their RAM, shared with parked guests
 * @param automatic whether a guest whose destination died before it ran is started again without an operator
 */
public record RescueTools(Path state, Links links, RamBudget budget, boolean automatic) {
    /** What has to be kept of a move's stream, see docs/rescue.md. */
    Path kept(UUID move) {
        return state.resolve("moves").resolve(move + ".kept");
    }

    /** The drained copy of a guest. */
    Path copy(String guest) {
        return state.resolve("rescue").resolve(guest);
    }
}
