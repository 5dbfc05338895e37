package io.migrationd.protocol.wire;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Big-endian cursor over a frame that is whole in memory. {@code streamOffset} is where byte 0 of {@code bytes} lies in
 * the stream. For the main stream, whose sections have no length, see {@link StreamReader}.
 */
public record WireReader(ByteBuffer bytes, long streamOffset) {
    /** The buffer's order is set to big-endian: nothing on this wire is anything else by default. */
    public WireReader {
        bytes.order(ByteOrder.BIG_ENDIAN);
    }

    /** Absolute offset of the next byte. */
    public long offset() {
        return streamOffset + bytes.position();
    }

    /** Bytes left in the frame. */
    public int remaining() {
        return bytes.remaining();
    }

    /** Reads u8. */
    public int readU8(String field) throws ProtocolException {
        return Byte.toUnsignedInt(require(field, Byte.BYTES).get());
    }

    /** Reads be16. */
    public int readU16(String field) throws ProtocolException {
        return Short.toUnsignedInt(require(field, Short.BYTES).getShort());
    }

    /** Reads be32 as it is. */
    public int readInt(String field) throws ProtocolException {
        return require(field, Integer.BYTES).getInt();
    }

    /** Reads be32, widened. */
    public long readU32(String field) throws ProtocolException {
        return Integer.toUnsignedLong(readInt(field));
    }

    /** Reads be64. */
    public long readLong(String field) throws ProtocolException {
        return require(field, Long.BYTES).getLong();
    }

    /** Reads {@code length} bytes into a new array. The frame bounds the allocation. */
    public byte[] readBytes(String field, int length) throws ProtocolException {
        byte[] copy = new byte[requireLength(field, length)];
        bytes.get(copy);
        return copy;
    }

    /** Reads u8 n and n bytes, each byte one char. Empty names are an error: nothing on the wire may be nameless. */
    public String readName(String field) throws ProtocolException {
        long at = offset();
        int length = readU8(field);
        if (length == 0) {
            throw new ProtocolException(field, at, "a name of 1 to 255 bytes", "an empty one");
        }
        return Names.fromWire(readBytes(field, length));
    }

    private int requireLength(String field, int length) throws ProtocolException {
        require(field, length);
        return length;
    }

    private ByteBuffer require(String field, int length) throws ProtocolException {
        if (bytes.remaining() >= length) {
            return bytes;
        }
        throw new ProtocolException(field, offset(), length + " bytes", bytes.remaining() + " bytes");
    }
}
