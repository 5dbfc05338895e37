package io.migrationd.migrationd.link;

import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import org.jspecify.annotations.Nullable;

/** The source's end of the stream: fills the channel's buffers one after the other. One thread. */
public final class StreamOutput {
    private final MigrationChannel channel;
    private @Nullable SendBuffer current;
    private long written;

    /** An empty stream. */
    public StreamOutput(MigrationChannel channel) {
        this.channel = channel;
    }

    /** A buffer with room for at least {@code bytes}; full ones go to the socket. Advance it by {@link #advance}. */
    public SendBuffer room(int bytes) throws IOException {
        if (current != null && current.room() >= bytes) {
            return current;
        }
        flush();
        SendBuffer next = channel.acquire();
        if (next.room() < bytes) {
            throw new IllegalArgumentException(bytes + " bytes do not fit a buffer of " + next.room());
        }
        current = next;
        return next;
    }

    /** The buffer from {@link #room} is filled up to {@code limit}. */
    public void advance(SendBuffer buffer, long limit) {
        written += limit - buffer.limit();
        buffer.limit((int) limit);
    }

    /** Writes bytes of any number. */
    public void write(byte[] bytes) throws IOException {
        write(bytes, bytes.length);
    }

    /** Writes the first {@code count} of {@code bytes}. */
    public void write(byte[] bytes, int count) throws IOException {
        int done = 0;
        while (done < count) {
            SendBuffer buffer = room(1);
            int piece = Math.min(buffer.room(), count - done);
            buffer.append(bytes, done, piece);
            done += piece;
        }
        written += count;
    }

    /** Writes what was collected. */
    public void write(WireWriter bytes) throws IOException {
        write(bytes.toByteArray());
    }

    /** Hands what is buffered to the socket. */
    public void flush() throws IOException {
        if (current != null) {
            SendBuffer full = current;
            current = null;
            channel.send(full);
        }
    }

    /** Waits until the socket has taken everything. */
    public void drain() throws IOException {
        flush();
        channel.drain();
    }

    /** Offset in the stream of the next byte. */
    public long position() {
        return written;
    }
}
