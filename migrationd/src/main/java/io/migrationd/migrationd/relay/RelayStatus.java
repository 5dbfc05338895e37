package io.migrationd.migrationd.relay;

import io.migrationd.migrationd.link.session.ChannelKind;
import java.util.List;
import java.util.Optional;

/**
 * How one end of a byte path stands.
 *
 * @param failure why it is {@link State#BROKEN}; empty otherwise
 * @param linkUp whether the session has a connection
 * @param windowBytes how much of the main channel may be in flight
 * @param refused connections that QEMU opened beyond the expected ones
 */
public record RelayStatus(
        State state,
        Optional<Failure> failure,
        boolean linkUp,
        long windowBytes,
        int refused,
        List<ChannelStatus> channels) {
    /** What may become of it. */
    public enum State {
        /** No main connection yet. */
        WAITING,
        /** Carries. */
        OPEN,
        /** Both QEMUs have closed after the destination's SHUT was delivered. */
        ENDED,
        /** Ended in the middle. */
        BROKEN
    }

    /** Who ended it in the middle. */
    public enum Side {
        /** The source's QEMU closed, or does what no QEMU does. */
        SOURCE_QEMU,
        /** The destination's QEMU closed, or does not take connections. */
        DESTINATION_QEMU,
        /** The session with the other daemon is over. */
        SESSION,
        /** A daemon has closed its relay. */
        DAEMON
    }

    /** Why it ended in the middle. */
    public record Failure(Side side, String reason) {}

    /**
     * One connection.
     *
     * @param readBytes read from this QEMU's socket
     * @param deliveredThereBytes of these, written to the other QEMU's socket
     * @param receivedBytes come from the other end
     * @param deliveredBytes of these, written to this QEMU's socket
     */
    public record ChannelStatus(
            ChannelKind kind,
            int index,
            long readBytes,
            long deliveredThereBytes,
            long receivedBytes,
            long deliveredBytes) {
        /** Read here and not delivered there. */
        public long inFlightBytes() {
            return readBytes - deliveredThereBytes;
        }
    }
}
