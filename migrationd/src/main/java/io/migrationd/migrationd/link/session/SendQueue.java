package io.migrationd.migrationd.link.session;

import io.netty.buffer.ByteBuf;
import org.jspecify.annotations.Nullable;

/**
 * Bytes of one channel and direction that the far end has not delivered, in order: {@code acked <= next <= end}. Bytes
 * from {@code next} on wait to be sent; those before may have to be sent again. One event loop.
 */
final class SendQueue {
    private static final class Chunk {
        private final ByteBuf bytes;
        private final long start;
        private @Nullable Chunk following;

        private Chunk(ByteBuf bytes, long start) {
            this.bytes = bytes;
            this.start = start;
        }

        private long end() {
            return start + bytes.readableBytes();
        }
    }

    private @Nullable Chunk first;
    private @Nullable Chunk last;
    /** Holds the byte at {@code next}; null when there is none. */
    private @Nullable Chunk cursor;

    private long acked;
    private long next;
    private long end;

    /** Takes ownership. */
    void append(ByteBuf bytes) {
        if (!bytes.isReadable()) {
            bytes.release();
            return;
        }
        Chunk chunk = new Chunk(bytes, end);
        end = chunk.end();
        if (last == null) {
            first = chunk;
        } else {
            last.following = chunk;
        }
        last = chunk;
        if (cursor == null) {
            cursor = chunk;
        }
    }

    /** All bytes before {@code offset} are delivered. The caller has checked that it lies in {@code acked..next}. */
    void ack(long offset) {
        acked = offset;
        Chunk chunk = first;
        while (chunk != null && chunk.end() <= offset) {
            Chunk following = chunk.following;
            chunk.bytes.release();
            chunk = following;
        }
        first = chunk;
        if (chunk == null) {
            last = null;
        }
    }

    /** Sending goes on at {@code offset}, in {@code acked..end}. */
    void rewind(long offset) {
        next = offset;
        Chunk chunk = first;
        while (chunk != null && chunk.end() <= offset) {
            chunk = chunk.following;
        }
        cursor = chunk;
    }

    boolean hasNext() {
        return cursor != null;
    }

    /** The next bytes to send, at most {@code most}; the caller releases them. Only when {@link #hasNext}. */
    ByteBuf take(int most) {
        Chunk chunk = cursor;
        if (chunk == null) {
            throw new IllegalStateException("nothing to send at " + next);
        }
        int skip = (int) (next - chunk.start);
        int length = Math.min(most, chunk.bytes.readableBytes() - skip);
        next += length;
        if (next == chunk.end()) {
            cursor = chunk.following;
        }
        return chunk.bytes.retainedSlice(chunk.bytes.readerIndex() + skip, length);
    }

    /** Offset up to which the far end has delivered. */
    long acked() {
        return acked;
    }

    /** Offset of the next byte to send. */
    long next() {
        return next;
    }

    /** Offset behind the last byte. */
    long end() {
        return end;
    }

    /** Drops everything. */
    void release() {
        for (Chunk chunk = first; chunk != null; chunk = chunk.following) {
            chunk.bytes.release();
        }
        first = null;
        last = null;
        cursor = null;
    }
}
