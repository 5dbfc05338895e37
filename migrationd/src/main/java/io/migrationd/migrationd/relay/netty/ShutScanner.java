package io.migrationd.migrationd.relay.netty;

import java.nio.ByteBuffer;

/**
 * Finds SHUT in a return path, without which the end of a main connection is a break. Wire source: spec of the return
 * path: u16 type, u16 length, payload; behind RECV_BITMAP a bitmap outside of the framing.
 */
final class ShutScanner {
    private static final int SHUT = 1;
    private static final int RECV_BITMAP = 5;
    private static final int LAST_TYPE = 7;
    private static final int HEADER_BYTES = 4;
    private static final int MAX_PAYLOAD_BYTES = 512;
    private static final int SIZE_BYTES = 8;
    private static final int TRAILER_BYTES = 8;

    private enum Part {
        HEADER,
        PAYLOAD,
        BITMAP_SIZE,
        BITMAP,
        /** After SHUT, or after something that is no return path. */
        REST
    }

    private Part part = Part.HEADER;
    /** Value of the bytes of a header or size read so far. */
    private long value;

    private long left = HEADER_BYTES;
    private int type;
    private boolean shut;

    /** Looks at the next bytes and leaves the buffer as it is. */
    void scan(ByteBuffer bytes) {
        int at = bytes.position();
        while (at < bytes.limit() && part != Part.REST) {
            if (part == Part.HEADER || part == Part.BITMAP_SIZE) {
                value = (value << 8) | (bytes.get(at++) & 0xff);
                left--;
            } else {
                long skip = Math.min(left, bytes.limit() - at);
                at += (int) skip;
                left -= skip;
            }
            if (left == 0) {
                next();
            }
        }
    }

    private void next() {
        switch (part) {
            case HEADER -> {
                type = (int) (value >>> 16);
                long length = value & 0xffff;
                if (type < SHUT || type > LAST_TYPE || length > MAX_PAYLOAD_BYTES) {
                    part = Part.REST;
                } else {
                    begin(Part.PAYLOAD, length);
                }
            }
            case PAYLOAD -> {
                if (type == SHUT) {
                    shut = true;
                    part = Part.REST;
                } else if (type == RECV_BITMAP) {
                    begin(Part.BITMAP_SIZE, SIZE_BYTES);
                } else {
                    begin(Part.HEADER, HEADER_BYTES);
                }
            }
            case BITMAP_SIZE -> {
                if (value < 0 || value > Long.MAX_VALUE - TRAILER_BYTES) {
                    part = Part.REST;
                } else {
                    begin(Part.BITMAP, value + TRAILER_BYTES);
                }
            }
            case BITMAP -> begin(Part.HEADER, HEADER_BYTES);
            case REST -> throw new IllegalStateException("nothing is looked for");
        }
    }

    private void begin(Part newPart, long length) {
        part = newPart;
        value = 0;
        left = length;
        if (length == 0) {
            next();
        }
    }

    /** Whether a whole SHUT has passed, with whatever value. */
    boolean hasShut() {
        return shut;
    }
}
