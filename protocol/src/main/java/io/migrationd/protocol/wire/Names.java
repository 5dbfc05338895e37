package io.migrationd.protocol.wire;

import java.nio.charset.StandardCharsets;

/** Counted strings of the wire: opaque 8-bit data, one char per byte. */
public final class Names {
    /** A counted string holds at most this many bytes. */
    public static final int MAX_LENGTH = 255;

    private Names() {}

    /** One char per byte, so that every name survives a round trip. */
    public static String fromWire(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    /**
     * The bytes of a name of 1 to 255 bytes.
     *
     * @throws IllegalArgumentException if it is empty, too long or has a char above 255
     */
    public static byte[] toWire(String name) {
        byte[] bytes = name.getBytes(StandardCharsets.ISO_8859_1);
        if (bytes.length == 0 || bytes.length > MAX_LENGTH || !fromWire(bytes).equals(name)) {
            throw new IllegalArgumentException("not a name of 1 to 255 bytes: '" + name + "'");
        }
        return bytes;
    }
}
