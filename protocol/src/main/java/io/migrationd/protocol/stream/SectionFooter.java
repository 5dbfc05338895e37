package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * u8 0x7e, be32 id of the section that it closes. The only check that both ends agree on a section's length.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.c, save_section_footer, check_section_footer.
 */
public final class SectionFooter {
    /** The type byte. No element of the section loop starts with it. */
    public static final int TYPE = 0x7e;

    /** Bytes of a footer. */
    public static final int LENGTH = 5;

    private SectionFooter() {}

    /** True if the next byte is that of a footer: after a body this shows if footers are in use. Consumes nothing. */
    public static boolean isNext(StreamReader in) throws IOException {
        ByteBuffer next = in.peek(1);
        return next != null && next.get(0) == TYPE;
    }

    /**
     * Reads the footer of section {@code sectionId}; {@code idstr} is for the message.
     *
     * @throws ProtocolException if there is none, or it closes another section
     */
    public static void read(StreamReader in, int sectionId, String idstr) throws IOException {
        String field = "section.footer of " + Printable.quote(idstr);
        long at = in.offset();
        int type = in.readU8(field);
        if (type != TYPE) {
            throw new ProtocolException(field, at, "0x7e, the end of the section", "0x%02x".formatted(type));
        }
        at = in.offset();
        int id = in.readInt(field);
        if (id != sectionId) {
            throw new ProtocolException(
                    field, at, "section id " + Integer.toUnsignedString(sectionId), Integer.toUnsignedString(id));
        }
    }

    /** Writes the footer of section {@code sectionId}. */
    public static void write(int sectionId, WireWriter out) {
        out.writeU8(TYPE).writeInt(sectionId);
    }
}
