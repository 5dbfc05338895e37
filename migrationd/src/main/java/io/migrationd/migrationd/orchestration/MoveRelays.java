package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.peer.MoveOrder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.UUID;

/** Opens byte paths. */
interface MoveRelays {
    /** The source's end: on return QEMU may connect to {@link MoveRelay#path}. */
    MoveRelay source(PeerSession session, UUID move, int attempt, MoveOrder order, long downtimeMillis)
            throws IOException;

    /** The target's end: connects to QEMU, which listens at {@code path}, as the source's QEMU connects. */
    MoveRelay target(PeerSession session, UUID move, int attempt, MoveOrder order, Path path) throws IOException;

    /** A path for a socket that nobody has used yet, short enough for the kernel. */
    Path socketPath(UUID move, String end);
}
