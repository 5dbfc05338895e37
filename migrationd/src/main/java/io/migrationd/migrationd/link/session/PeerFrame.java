package io.migrationd.migrationd.link.session;

import java.util.List;
import java.util.UUID;

/** What goes over one connection of a session, but for the bytes of channels, which follow a {@link Data}. */
sealed interface PeerFrame {
    /** Bytes of a channel received and delivered so far, at who says it. */
    record Progress(int channel, long received, long delivered) {}

    /**
     * The first frame of each side, the dialer's first.
     *
     * @param resume the dialer has had this session before
     * @param maxBufferBytes what the sender of this frame buffers at most per channel
     */
    record Hello(UUID session, PeerIdentity identity, boolean resume, long maxBufferBytes, List<Progress> progress)
            implements PeerFrame {}

    /** The {@code length} bytes from {@code offset} on follow. */
    record Data(int channel, long offset, int length) implements PeerFrame {}

    /** All bytes before {@code delivered} have reached their receiver. */
    record Ack(int channel, long delivered) implements PeerFrame {}

    /** To be answered at once. */
    record Ping(long value) implements PeerFrame {}

    /** The answer, with the ping's value. */
    record Pong(long value) implements PeerFrame {}

    /** The session is over at the sender of this frame. */
    record Goodbye(String reason) implements PeerFrame {}
}
