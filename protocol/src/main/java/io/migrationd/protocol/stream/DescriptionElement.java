package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/**
 * The trailing description of a precopy stream: u8 0x06, be32 length, JSON text. It follows EOF, describes the device
 * sections and is there for tools: by then the guest is complete, so nothing about it can fail a migration.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.c, qemu_savevm_state_complete_precopy_non_iterable, qemu_loadvm_state.
 */
public sealed interface DescriptionElement {
    /** The type byte. */
    int TYPE = 0x06;

    /** Stream offset of the first byte after EOF. */
    long offset();

    /** The text as it was sent, one char per byte; whether it is JSON has not been looked at. */
    record Present(long offset, String json) implements DescriptionElement {}

    /** There is none, or not all of it; {@code reason} is for a log line. */
    record Absent(long offset, String reason) implements DescriptionElement {}

    /**
     * Reads and drains the description. A source that expects to be drained fails if the connection closes before, so
     * this is called wherever the source may send one, and never where it does not: it blocks for one byte.
     *
     * @param limit a text of more bytes is neither kept nor drained
     */
    static DescriptionElement read(StreamReader in, int limit) {
        long at = in.offset();
        try {
            if (in.atEnd()) {
                return new Absent(at, "the stream ends without a description");
            }
            int type = in.readU8("description.type");
            if (type != TYPE) {
                return new Absent(at, "0x%02x instead of a description".formatted(type));
            }
            long length = in.readU32("description.length");
            if (length > limit) {
                return new Absent(at, "a description of " + length + " bytes is above the limit of " + limit);
            }
            byte[] text = in.readBytes("description.text", length, limit);
            return new Present(at, new String(text, StandardCharsets.ISO_8859_1));
        } catch (IOException e) {
            // All of the guest has arrived: a connection that breaks here is worth a line, not the migration.
            return new Absent(at, "the description is not complete: " + e.getMessage());
        }
    }

    /** Writes a description; {@code json} is ASCII. */
    static void write(String json, WireWriter out) {
        byte[] text = json.getBytes(StandardCharsets.ISO_8859_1);
        out.writeU8(TYPE).writeInt(text.length).writeBytes(text);
    }
}
