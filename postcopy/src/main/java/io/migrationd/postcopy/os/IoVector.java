package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The pieces of one preadv(2), pwritev(2) or process_vm_writev(2): an array of {@code struct iovec}, allocated once and
 * filled again for each call. One thread at a time.
 */
public final class IoVector {
    /** IOV_MAX: more pieces are EINVAL. */
    public static final int MAX_PIECES = 1024;

    private static final long IOVEC_BYTES = 16;

    // Kept by one thread for its life, like errno; the collector frees it.
    private final MemorySegment array = Arena.ofAuto().allocate(MAX_PIECES * IOVEC_BYTES, Long.BYTES);
    private @Nullable MemorySegment buffer;
    private int first;
    private int end;

    /**
     * {@code count} pieces of {@code pieceBytes} each, the first at {@code offset} of {@code buffer} and each next one
     * {@code strideBytes} behind; touching pieces become one. The vector keeps the buffer reachable; that nobody closes
     * its arena until the call has returned is the caller's part.
     */
    public void setStrided(MemorySegment buffer, long offset, int count, int pieceBytes, long strideBytes) {
        if (count < 1 || count > MAX_PIECES || pieceBytes < 1 || strideBytes < pieceBytes) {
            throw new IllegalArgumentException(count + " pieces of " + pieceBytes + " bytes, stride " + strideBytes);
        }
        long span = Math.addExact(Math.multiplyExact(count - 1, strideBytes), pieceBytes);
        long hostVirtual = Libc.address(buffer, offset, span);
        this.buffer = buffer;
        first = 0;
        if (strideBytes == pieceBytes) {
            end = 1;
            put(0, hostVirtual, (long) count * pieceBytes);
            return;
        }
        end = count;
        for (int i = 0; i < count; i++) {
            put(i, hostVirtual + i * strideBytes, pieceBytes);
        }
    }

    /** Drops the first {@code bytes}: they are done. */
    void advance(long bytes) {
        long left = bytes;
        while (left > 0) {
            long length = array.get(JAVA_LONG, first * IOVEC_BYTES + Long.BYTES);
            if (left < length) {
                put(first, array.get(JAVA_LONG, first * IOVEC_BYTES) + left, length - left);
                return;
            }
            left -= length;
            first++;
        }
    }

    boolean isDone() {
        return first == end;
    }

    /** What must stay reachable while the kernel works. */
    @Nullable
    MemorySegment buffer() {
        return buffer;
    }

    long hostVirtual() {
        return array.address() + first * IOVEC_BYTES;
    }

    int pieces() {
        return end - first;
    }

    /** What is left to transfer. */
    long lengthBytes() {
        long sum = 0;
        for (int i = first; i < end; i++) {
            sum += array.get(JAVA_LONG, i * IOVEC_BYTES + Long.BYTES);
        }
        return sum;
    }

    @Override
    public String toString() {
        return "pieces=" + pieces() + " length=" + lengthBytes();
    }

    private void put(int index, long hostVirtual, long length) {
        array.set(JAVA_LONG, index * IOVEC_BYTES, hostVirtual);
        array.set(JAVA_LONG, index * IOVEC_BYTES + Long.BYTES, length);
    }
}
