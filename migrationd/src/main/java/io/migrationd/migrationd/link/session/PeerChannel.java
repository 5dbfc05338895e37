package io.migrationd.migrationd.link.session;

import io.netty.buffer.ByteBuf;

/**
 * A channel of a session: a stream of bytes in each direction. The counters may be read by any thread, all else is for
 * the session's event loop.
 */
public interface PeerChannel {
    /** What it is for. */
    ChannelSpec spec();

    /** Takes ownership and sends the bytes, now or when there is a connection. Look at {@link #room} before. */
    void write(ByteBuf bytes);

    /**
     * Whether nobody waits for a part of what is written here, as in precopy; false at first. Where all channels of a
     * session are such and of one move, its connection is filled deeper, which saves wakings and makes whatever comes
     * behind wait longer.
     */
    void bulk(boolean on);

    /** Sends what was written, as far as the connection takes it. */
    void flush();

    /** Nothing more is written. */
    void end();

    /** Breaks the channel at both ends; what is under way is dropped. Its reader here hears nothing more. */
    void reset(String reason);

    /** The reader has done with {@code bytes} that it received: they count as delivered. */
    void delivered(long bytes);

    /** How many bytes may be written before the window is full; not positive when it is. */
    long room();

    /** Bytes that may be written and not be delivered; bounded by both ends' buffers. */
    void window(long bytes);

    /** The window as it is. */
    long window();

    /** Bytes written here so far. */
    long writtenBytes();

    /** Bytes written here that the far end has delivered. */
    long deliveredThereBytes();

    /** Bytes received so far. */
    long receivedBytes();

    /** Bytes received that were delivered. */
    long deliveredBytes();
}
