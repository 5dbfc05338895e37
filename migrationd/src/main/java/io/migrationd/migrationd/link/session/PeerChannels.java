package io.migrationd.migrationd.link.session;

import io.netty.channel.EventLoop;
import java.io.IOException;
import java.util.Optional;
import java.util.UUID;

/** The channels of a session. For its event loop, but for {@link #of}, {@link #loop} and {@link #post}. */
public interface PeerChannels {
    /** Takes channels that the peer opens. */
    interface Acceptor {
        /** The reader of a new channel; empty refuses it. */
        Optional<ChannelReader> opened(PeerChannel channel);
    }

    /** The channels of a session of this package. */
    static PeerChannels of(PeerSession session) {
        if (session instanceof PeerChannels channels) {
            return channels;
        }
        throw new IllegalArgumentException("no session with channels: " + session);
    }

    /** Where all of the session happens. */
    EventLoop loop();

    /** Runs something on the session's own thread, where it may block for a while. */
    void post(Runnable action);

    /**
     * Opens a channel.
     *
     * @throws IOException the session is over, or has too many channels
     */
    PeerChannel open(ChannelSpec spec, ChannelReader reader) throws IOException;

    /** {@code acceptor} gets the channels of one attempt of a move; without one they are refused. */
    void accept(UUID move, int attempt, Acceptor acceptor);

    /** Ends {@link #accept}. */
    void refuse(UUID move, int attempt);

    /** Whether there is a connection, and how fast the path is. */
    LinkHealth linkHealth();
}
