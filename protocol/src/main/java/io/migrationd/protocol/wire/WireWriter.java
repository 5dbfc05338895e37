package io.migrationd.protocol.wire;

import java.io.ByteArrayOutputStream;

/** Big-endian writer into a growing array: device state, commands, descriptions. Page data does not pass through it. */
public final class WireWriter {
    private final ByteArrayOutputStream out = new ByteArrayOutputStream(256);

    /** Writes the low 8 bits. */
    public WireWriter writeU8(int value) {
        out.write(value);
        return this;
    }

    /** Writes the low 16 bits, big-endian. */
    public WireWriter writeU16(int value) {
        return writeU8(value >>> 8).writeU8(value);
    }

    /** Writes be32. */
    public WireWriter writeInt(int value) {
        return writeU16(value >>> 16).writeU16(value);
    }

    /** Writes be64. */
    public WireWriter writeLong(long value) {
        return writeInt((int) (value >>> 32)).writeInt((int) value);
    }

    /** Writes raw bytes. */
    public WireWriter writeBytes(byte[] bytes) {
        out.writeBytes(bytes);
        return this;
    }

    /**
     * Writes u8 n and n bytes.
     *
     * @throws IllegalArgumentException if the name has no or more than 255 bytes
     */
    public WireWriter writeName(String name) {
        byte[] bytes = Names.toWire(name);
        return writeU8(bytes.length).writeBytes(bytes);
    }

    /** Bytes written so far. */
    public int size() {
        return out.size();
    }

    /** A copy of what was written. */
    public byte[] toByteArray() {
        return out.toByteArray();
    }
}
