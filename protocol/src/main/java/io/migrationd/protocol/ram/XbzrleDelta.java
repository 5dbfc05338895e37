package io.migrationd.protocol.ram;

import io.migrationd.protocol.wire.ProtocolException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;

/**
 * Delta pages: alternating runs of unchanged and changed bytes. Wire source: QEMU 10.0 migration/xbzrle.c. Allocates
 * nothing.
 */
public final class XbzrleDelta {
    /** The delta would not be shorter than the page. */
    public static final int OVERFLOW = -1;

    private static final ValueLayout.OfLong LONG =
            ValueLayout.JAVA_LONG_UNALIGNED.withOrder(java.nio.ByteOrder.LITTLE_ENDIAN);
    private static final int MAX_ULEB14 = 0x3fff;

    private XbzrleDelta() {}

    /**
     * Writes what changed from {@code before} to {@code now} to {@code out}.
     *
     * @return bytes written, 0 if the pages are equal, {@link #OVERFLOW} if it would not fit {@code limit} bytes or has
     *     a run longer than the format can say, which takes pages above 16 KiB
     */
    public static int encode(
            MemorySegment before,
            long beforeOffset,
            MemorySegment now,
            long nowOffset,
            int pageSizeBytes,
            MemorySegment out,
            long outOffset,
            int limit) {
        int at = 0;
        int written = 0;
        while (at < pageSizeBytes) {
            int changed = firstDifference(before, beforeOffset, now, nowOffset, at, pageSizeBytes);
            if (changed == pageSizeBytes) {
                return written;
            }
            int same = firstEquality(before, beforeOffset, now, nowOffset, changed, pageSizeBytes);
            int skip = changed - at;
            int length = same - changed;
            if (skip > MAX_ULEB14
                    || length > MAX_ULEB14
                    || written + ulebBytes(skip) + ulebBytes(length) + length > limit) {
                return OVERFLOW;
            }
            written += putUleb(out, outOffset + written, skip);
            written += putUleb(out, outOffset + written, length);
            MemorySegment.copy(now, nowOffset + changed, out, outOffset + written, length);
            written += length;
            at = same;
        }
        return written;
    }

    /**
     * Applies the delta from position to limit of {@code delta} to {@code page}.
     *
     * @param deltaOffset where the delta starts in the stream, for errors
     */
    public static void apply(ByteBuffer delta, long deltaOffset, MemorySegment page, long pageOffset, int pageSizeBytes)
            throws ProtocolException {
        int base = delta.position();
        int end = delta.limit();
        int at = base;
        int target = 0;
        while (at < end) {
            requirePair(end - at, deltaOffset + at - base);
            int skipAt = at;
            int skip = getUleb(delta, at, deltaOffset + at - base);
            at += ulebBytesAt(delta, at);
            if (skip == 0 && skipAt != base) {
                throw new ProtocolException("ram.xbzrle.skip", deltaOffset + skipAt - base, "more than 0", 0);
            }
            target += skip;
            requirePair(end - at, deltaOffset + at - base);
            int lengthAt = at;
            int length = getUleb(delta, at, deltaOffset + at - base);
            at += ulebBytesAt(delta, at);
            if (length == 0 || length > end - at) {
                throw new ProtocolException(
                        "ram.xbzrle.run", deltaOffset + lengthAt - base, "1 to " + (end - at) + " bytes", length);
            }
            if (target + length > pageSizeBytes) {
                throw new ProtocolException(
                        "ram.xbzrle.run",
                        deltaOffset + skipAt - base,
                        "bytes within the page of " + pageSizeBytes,
                        target + " to " + (target + length));
            }
            MemorySegment.copy(MemorySegment.ofBuffer(delta), at - base, page, pageOffset + target, length);
            at += length;
            target += length;
        }
    }

    private static void requirePair(int left, long at) throws ProtocolException {
        if (left < 2) {
            throw new ProtocolException("ram.xbzrle.run", at, "at least 2 bytes", left + " bytes");
        }
    }

    private static int getUleb(ByteBuffer delta, int at, long offset) throws ProtocolException {
        int first = Byte.toUnsignedInt(delta.get(at));
        if (first < 0x80) {
            return first;
        }
        int second = Byte.toUnsignedInt(delta.get(at + 1));
        if (second >= 0x80) {
            throw new ProtocolException("ram.xbzrle.uleb", offset, "a number of at most two bytes", "a third one");
        }
        return (first & 0x7f) | second << 7;
    }

    private static int ulebBytesAt(ByteBuffer delta, int at) {
        return delta.get(at) < 0 ? 2 : 1;
    }

    private static int ulebBytes(int value) {
        return value < 0x80 ? 1 : 2;
    }

    private static int putUleb(MemorySegment out, long at, int value) {
        if (value < 0x80) {
            out.set(ValueLayout.JAVA_BYTE, at, (byte) value);
            return 1;
        }
        out.set(ValueLayout.JAVA_BYTE, at, (byte) (value | 0x80));
        out.set(ValueLayout.JAVA_BYTE, at + 1, (byte) (value >>> 7));
        return 2;
    }

    private static int firstDifference(
            MemorySegment before, long beforeOffset, MemorySegment now, long nowOffset, int from, int to) {
        int at = from;
        while (at < to && (at & 7) != 0) {
            if (differs(before, beforeOffset, now, nowOffset, at)) {
                return at;
            }
            at++;
        }
        while (at < to) {
            long changes = before.get(LONG, beforeOffset + at) ^ now.get(LONG, nowOffset + at);
            if (changes != 0) {
                // Read as little-endian, so that the lowest changed byte is the first one.
                return at + (Long.numberOfTrailingZeros(changes) >>> 3);
            }
            at += Long.BYTES;
        }
        return to;
    }

    private static int firstEquality(
            MemorySegment before, long beforeOffset, MemorySegment now, long nowOffset, int from, int to) {
        int at = from;
        while (at < to && differs(before, beforeOffset, now, nowOffset, at)) {
            at++;
        }
        return at;
    }

    private static boolean differs(MemorySegment before, long beforeOffset, MemorySegment now, long nowOffset, int at) {
        return before.get(ValueLayout.JAVA_BYTE, beforeOffset + at) != now.get(ValueLayout.JAVA_BYTE, nowOffset + at);
    }
}
