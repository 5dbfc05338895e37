package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.Printable;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Chunks of the {@code dirty-bitmap} section. A receiver gives bitmaps up where this notes that it would, and goes on.
 * Wire source: QEMU 10.0 migration/block-dirty-bitmap.c.
 */
final class DirtyBitmapBody implements BodyGrammar {
    private static final int EOS = 0x01;
    private static final int ZEROES = 0x02;
    private static final int BITMAP_NAME = 0x04;
    private static final int DEVICE_NAME = 0x08;
    private static final int START = 0x10;
    private static final int COMPLETE = 0x20;
    private static final int BITS = 0x40;
    private static final int EXTRA = 0x80;
    private static final int RESERVED_START_FLAGS = 0xf8;
    private static final int MAX_BUFFER = 10240;
    private static final int BUFFER_ALIGNMENT = 32;
    private static final int SECTOR_BYTES = 512;

    private final Trace trace;
    private final Map<String, Long> granularities = new HashMap<>();
    private String node = "";
    private String bitmap = "";
    private boolean givenUp;

    DirtyBitmapBody(Trace trace) {
        this.trace = trace;
    }

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        int flags;
        do {
            long at = in.offset();
            flags = in.readU8("dirty-bitmap.flags");
            check(flags, at);
            report.count("dbm");
            readNames(flags, in);
            switch (flags & (START | COMPLETE | BITS)) {
                case START -> start(at, in, report);
                case COMPLETE -> complete(at, report);
                case BITS -> bits(at, (flags & ZEROES) != 0, in, report);
                default -> {
                    // Names alone, or the end.
                }
            }
        } while ((flags & EOS) == 0);
    }

    private static void check(int flags, long at) throws ProtocolException {
        if ((flags & EXTRA) != 0 || Integer.bitCount(flags & (START | COMPLETE | BITS)) > 1) {
            throw new ProtocolException(
                    "dirty-bitmap.flags",
                    at,
                    "at most one of START 0x10, COMPLETE 0x20, BITS 0x40 and no 0x80",
                    "0x%02x".formatted(flags));
        }
    }

    private void readNames(int flags, StreamReader in) throws IOException {
        if ((flags & DEVICE_NAME) != 0) {
            node = in.readName("dirty-bitmap.node");
        }
        if ((flags & BITMAP_NAME) != 0) {
            bitmap = in.readName("dirty-bitmap.bitmap");
        }
    }

    private void start(long at, StreamReader in, BodyReport report) throws IOException {
        long granularity = in.readU32("dirty-bitmap.granularity");
        long flagsAt = in.offset();
        int startFlags = in.readU8("dirty-bitmap.start-flags");
        if ((startFlags & RESERVED_START_FLAGS) != 0) {
            throw new ProtocolException(
                    "dirty-bitmap.start-flags", flagsAt, "bits 0 to 2", "0x%02x".formatted(startFlags));
        }
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("node", node);
        details.put("name", bitmap);
        details.put("granularity", granularity);
        details.put("enabled", (startFlags & 1) != 0);
        details.put("persistent", (startFlags & 2) != 0);
        report.child(at, "bitmap", details);
        if (node.isEmpty() || bitmap.isEmpty()) {
            giveUp(at, "a bitmap starts before its names were given");
        } else if (Long.bitCount(granularity) != 1) {
            giveUp(at, "granularity " + granularity + " is no power of two");
        } else if (granularities.putIfAbsent(key(), granularity) != null) {
            giveUp(at, "bitmap " + Printable.quote(bitmap) + " starts twice");
        }
    }

    private void complete(long at, BodyReport report) throws IOException {
        report.count("dbm_complete");
        granularity(at);
    }

    private void bits(long at, boolean zeroes, StreamReader in, BodyReport report) throws IOException {
        in.readLong("dirty-bitmap.sector");
        long sectors = in.readU32("dirty-bitmap.sectors");
        long granularity = granularity(at);
        if (zeroes) {
            report.count("dbm_zeroes");
            return;
        }
        long sizeAt = in.offset();
        long size = in.readLong("dirty-bitmap.size");
        if (size < 0 || size > MAX_BUFFER) {
            throw new ProtocolException(
                    "dirty-bitmap.size", sizeAt, "at most " + MAX_BUFFER + " bytes", Long.toUnsignedString(size));
        }
        in.skip("dirty-bitmap.bits", size);
        report.count("dbm_bits");
        if (granularity != 0) {
            long needed = Math.ceilDiv(Math.ceilDiv(sectors * SECTOR_BYTES, granularity), (long) Byte.SIZE);
            if (size < needed || size > Math.ceilDiv(needed, (long) BUFFER_ALIGNMENT) * BUFFER_ALIGNMENT) {
                giveUp(at, "%d bytes for a bitmap that needs %d".formatted(size, needed));
            }
        }
    }

    /** Of the bitmap that is being talked about; 0 if it has not been started. */
    private long granularity(long at) throws IOException {
        Long granularity = granularities.get(key());
        if (granularity == null) {
            giveUp(at, "bitmap " + Printable.quote(bitmap) + " was never started");
            return 0;
        }
        return granularity;
    }

    private String key() {
        return node + '\0' + bitmap;
    }

    private void giveUp(long at, String why) throws IOException {
        if (!givenUp) {
            givenUp = true;
            trace.note(at, "a destination gives up all bitmaps: " + why);
        }
    }
}
