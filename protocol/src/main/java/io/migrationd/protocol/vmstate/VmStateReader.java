package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/** Cursor over one section's body: knows the field being read, keeps the limits and, if asked, a copy of the bytes. */
public final class VmStateReader {
    private final StreamReader in;
    private final VmStateLimits limits;
    /** Filled by a walker, which wants the bytes and not the state. */
    private final Optional<WireWriter> copy;

    private final long start;
    private String field = "vmstate";
    private long elements;

    private VmStateReader(StreamReader in, VmStateLimits limits, Optional<WireWriter> copy) {
        this.in = in;
        this.limits = limits;
        this.copy = copy;
        this.start = in.offset();
    }

    static VmStateReader loading(StreamReader in, VmStateLimits limits) {
        return new VmStateReader(in, limits, Optional.empty());
    }

    static VmStateReader walking(StreamReader in, VmStateLimits limits, WireWriter copy) {
        return new VmStateReader(in, limits, Optional.of(copy));
    }

    /** A walker has no local values that a received one could be compared with. */
    boolean comparesValues() {
        return copy.isEmpty();
    }

    void enter(String fieldPath) {
        field = fieldPath;
    }

    String field() {
        return field;
    }

    /** Elements can be empty: their number is bounded by itself, and no section has more of them than bytes. */
    void countElement() throws ProtocolException {
        if (++elements > limits.bodyBytes()) {
            throw rejection(offset(), "at most " + limits.bodyBytes() + " elements in a section", "more");
        }
    }

    VmStateLimits limits() {
        return limits;
    }

    /** Absolute stream offset of the next byte. */
    public long offset() {
        return in.offset();
    }

    /** The error for a value of the current field that began at {@code at}. */
    public ProtocolException rejection(long at, String expected, Object actual) {
        return new ProtocolException(field, at, expected, actual);
    }

    /** Reads u8. */
    public int readU8() throws IOException {
        reserve(1);
        int value = in.readU8(field);
        copy.ifPresent(c -> c.writeU8(value));
        return value;
    }

    /** Reads be16. */
    public int readU16() throws IOException {
        reserve(2);
        int value = in.readU16(field);
        copy.ifPresent(c -> c.writeU16(value));
        return value;
    }

    /** Reads be32 as it is. */
    public int readInt() throws IOException {
        reserve(4);
        int value = in.readInt(field);
        copy.ifPresent(c -> c.writeInt(value));
        return value;
    }

    /** Reads be64. */
    public long readLong() throws IOException {
        reserve(8);
        long value = in.readLong(field);
        copy.ifPresent(c -> c.writeLong(value));
        return value;
    }

    /** Reads {@code length} bytes into a new array, if the section may still be that long. */
    public byte[] readBytes(long length) throws IOException {
        reserve(length);
        byte[] bytes = in.readBytes(field, length, limits.bodyBytes());
        copy.ifPresent(c -> c.writeBytes(bytes));
        return bytes;
    }

    /** Reads u8 n and n bytes. */
    public String readName() throws IOException {
        long at = offset();
        int length = readU8();
        if (length == 0) {
            throw rejection(at, "a name of 1 to 255 bytes", "an empty one");
        }
        return Names.fromWire(readBytes(length));
    }

    /**
     * The name of the subsection that begins at the next byte, if there is one and its name continues
     * {@code parentName}. Consumes nothing, and asks for no more bytes than it takes to say no.
     */
    Optional<String> peekSubsection(String parentName) throws IOException {
        ByteBuffer marker = in.peek(1);
        if (marker == null || marker.get(0) != Elements.SUBSECTION) {
            return Optional.empty();
        }
        ByteBuffer head = in.peek(2);
        int length = head == null ? 0 : Byte.toUnsignedInt(head.get(1));
        if (length <= parentName.length() || !parentName.equals(peekText(parentName.length()))) {
            return Optional.empty();
        }
        String name = peekText(length);
        return name.length() == length ? Optional.of(name) : Optional.empty();
    }

    /** Characters of the name whose marker and length come next; empty if the input ends before. */
    private String peekText(int length) throws IOException {
        ByteBuffer bytes = in.peek(2 + length);
        if (bytes == null) {
            return "";
        }
        byte[] text = new byte[length];
        bytes.get(2, text);
        return Names.fromWire(text);
    }

    private void reserve(long length) throws ProtocolException {
        long used = in.offset() - start;
        if (length > limits.bodyBytes() - used) {
            throw rejection(
                    offset(), "a section of at most " + limits.bodyBytes() + " bytes", length + " more after " + used);
        }
    }
}
