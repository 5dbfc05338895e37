package io.migrationd.migrationd.peer;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.move.PeerMessage;
import java.util.Optional;
import java.util.UUID;

/** Anything that goes over the control channel of a session. */
public sealed interface PeerWord {
    /**
     * A message of a move.
     *
     * @param attempt of the byte path that PREPARE and RECOVER announce: both ends open it under this number
     * @param order goes with PREPARE only
     * @param timeline what the target saw, goes with FINISHED
     */
    record OfMove(UUID move, PeerMessage message, int attempt, Optional<MoveOrder> order, Optional<JsonNode> timeline)
            implements PeerWord {
        /** Without anything else. */
        public static OfMove plain(UUID move, PeerMessage message) {
            return new OfMove(move, message, 0, Optional.empty(), Optional.empty());
        }
    }

    /** Source: could you take this guest? {@code facts} is of its QEMU. */
    record Check(UUID question, MoveOrder order) implements PeerWord {}

    /** Target: what is here. {@code facts} is for the preflight. */
    record Facts(UUID question, JsonNode facts) implements PeerWord {}

    /** Target: that can't be answered. */
    record CheckFailed(UUID question, String why) implements PeerWord {}

    /**
     * Either side: what clock shows this? Two of them tell how far the clocks of the hosts are apart.
     *
     * @param sentAtMillis the sender's wall clock, given back in the answer
     */
    record Clock(boolean answer, long sentAtMillis, long peerAtMillis) implements PeerWord {}
}
