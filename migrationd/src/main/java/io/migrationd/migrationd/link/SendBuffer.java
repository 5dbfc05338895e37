package io.migrationd.migrationd.link;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * One of the few fixed buffers of a channel. The sender fills {@link #segment} up to {@link #limit} and hands it back
 * by {@link MigrationChannel#send}; it comes round again when the socket has taken its bytes.
 */
public final class SendBuffer {
    /** Bytes in a buffer: enough for 63 page records, small enough for the second level cache. */
    public static final int CAPACITY = 256 * 1024;

    private final ByteBuffer bytes = ByteBuffer.allocateDirect(CAPACITY);
    private final MemorySegment segment = MemorySegment.ofBuffer(bytes);
    private int limit;

    /** The memory to fill, from 0 to {@link #CAPACITY}. */
    public MemorySegment segment() {
        return segment;
    }

    /** How much of it is filled. */
    public int limit() {
        return limit;
    }

    /** Says how much is filled. */
    public void limit(int filled) {
        limit = filled;
    }

    /** What is left. */
    public int room() {
        return CAPACITY - limit;
    }

    /** Appends bytes; the caller has checked {@link #room}. */
    public void append(byte[] source, int offset, int length) {
        bytes.put(limit, source, offset, length);
        limit += length;
    }

    ByteBuffer filled() {
        return bytes.slice(0, limit);
    }
}
