package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.control.MoveOperations.Problem;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.peer.MoveOrder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** The QEMU guests that this host has definitions of, and what a preflight has to know of them. Any thread. */
interface GuestBook {
    Optional<DefinedGuest> byName(String name);

    Optional<DefinedGuest> byUuid(UUID uuid);

    /**
     * What the source's QEMU looks like; connects to it for a moment.
     *
     * @throws IOException if it does not answer
     */
    SourceFacts sourceFacts(DefinedGuest guest) throws IOException;

    /** What this host could offer as a target. May start a QEMU for a moment. */
    JsonNode targetFacts(MoveOrder order) throws IOException;

    /** Compares. */
    List<Problem> compare(
            DefinedGuest guest, SourceFacts source, JsonNode target, MoveSettings settings, PeerSession session)
            throws IOException;

    /** One guest. */
    record DefinedGuest(String name, UUID uuid, Path qmp, MoveSettings defaults, boolean mayArrive) {}

    /**
     * A QEMU that may leave.
     *
     * @param running whether its guest runs now
     * @param facts of the guest's package, opaque here
     */
    record SourceFacts(boolean running, Object facts) {}
}
