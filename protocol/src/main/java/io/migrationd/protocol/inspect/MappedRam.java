package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;

/**
 * What a mapped-ram file has behind each entry of the block list: be32 version, be64 page size, be64 bitmap offset,
 * be64 pages offset, bitmap, gap, pages. Wire source: QEMU 10.0 migration/ram.c, struct MappedRamHeader.
 */
final class MappedRam {
    private static final int VERSION = 1;

    private MappedRam() {}

    /** Reads the header and the bitmap and skips to the byte behind the pages. */
    static void walkBlock(StreamReader in, int pageSize, long length, long fileEnd, Map<String, Object> details)
            throws IOException {
        long at = in.offset();
        int version = in.readInt("mapped-ram.version");
        if (version != VERSION) {
            throw new ProtocolException(
                    "mapped-ram.version", at, Integer.toString(VERSION), Integer.toUnsignedString(version));
        }
        expect("mapped-ram.page-size", pageSize, in);
        long bitmapBytes = Math.ceilDiv(length / pageSize, (long) Long.SIZE) * Long.BYTES;
        expect("mapped-ram.bitmap-offset", in.offset() + 2 * Long.BYTES, in);
        at = in.offset();
        long pagesOffset = in.readLong("mapped-ram.pages-offset");
        long bitmapEnd = in.offset() + bitmapBytes;
        if (pagesOffset < bitmapEnd || pagesOffset % pageSize != 0 || pagesOffset > fileEnd - length) {
            throw new ProtocolException(
                    "mapped-ram.pages-offset",
                    at,
                    "a multiple of %d from %d to %d".formatted(pageSize, bitmapEnd, fileEnd - length),
                    pagesOffset);
        }
        details.put("pages_offset", pagesOffset);
        details.put("stored_pages", storedPages(bitmapBytes, in));
        in.skip("mapped-ram.pages", pagesOffset + length - in.offset());
    }

    private static void expect(String field, long expected, StreamReader in) throws IOException {
        long at = in.offset();
        long actual = in.readLong(field);
        if (actual != expected) {
            throw new ProtocolException(field, at, Long.toString(expected), actual);
        }
    }

    /** Bits of the bitmap; their order within a word depends on the source host and does not matter for a count. */
    private static long storedPages(long bitmapBytes, StreamReader in) throws IOException {
        long pages = 0;
        for (long done = 0; done < bitmapBytes; done += Long.BYTES) {
            ByteBuffer word = in.slice("mapped-ram.bitmap", Long.BYTES);
            pages += Long.bitCount(word.getLong());
        }
        return pages;
    }
}
