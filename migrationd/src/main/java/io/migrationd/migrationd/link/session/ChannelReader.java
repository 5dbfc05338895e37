package io.migrationd.migrationd.link.session;

import io.netty.buffer.ByteBuf;

/** What happens to a channel. All calls come on the session's event loop; none may block. */
public interface ChannelReader {
    /** Bytes came; they are the callee's. It calls {@link PeerChannel#delivered} when it has done with them. */
    void received(ByteBuf bytes);

    /** For now nothing more comes: what was received may be flushed. */
    void receivedAll();

    /** Nothing more is received. */
    void ended();

    /** All that was written before {@link PeerChannel#end} is delivered. */
    void finished();

    /** More may be written than before. */
    void roomGrown();

    /** The channel is broken: by the peer, or because the session is over. */
    void reset(String reason);
}
