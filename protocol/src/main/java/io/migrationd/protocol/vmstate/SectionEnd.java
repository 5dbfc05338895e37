package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.Names;
import java.nio.ByteBuffer;
import java.util.function.IntPredicate;

/**
 * Tells whether a device section of unknown layout ends here: at {@code 7E} and the section's id, followed by what can
 * only be the next element of the stream. A good guess and no more, see {@link OpaqueSectionReader}. It asks for one
 * more byte only where the source is sure to send one.
 */
public final class SectionEnd {
    /** The section ends where the bytes begin. */
    public static final int END = 0;

    /** It goes on. */
    public static final int NO_END = -1;

    /** Bytes of a footer. */
    public static final int FOOTER_LENGTH = 5;

    /** A footer and the end of the section loop: the last bytes of a source that sends no description. */
    public static final int LENGTH_WITH_EOF = FOOTER_LENGTH + 1;

    /** No verdict needs more bytes than this. */
    public static final int MAX_LENGTH = FOOTER_LENGTH + 1 + Integer.BYTES + 1 + Names.MAX_LENGTH;

    private static final int COMMAND_LAST = 11;
    private static final int MIN_DESCRIPTION_LENGTH = 2;
    private static final int MAX_DESCRIPTION_LENGTH = 64 << 20;

    private SectionEnd() {}

    /**
     * Judges {@code length} bytes from {@code at} on.
     *
     * @param knownIds tells the ids of sections that the stream has introduced so far
     * @return {@link #END}, {@link #NO_END}, or else how many bytes it takes to say
     */
    public static int judge(ByteBuffer bytes, int at, int length, int sectionId, IntPredicate knownIds) {
        if (length > 0 && bytes.get(at) != (byte) Elements.SECTION_FOOTER) {
            return NO_END;
        }
        if (length < FOOTER_LENGTH) {
            return FOOTER_LENGTH;
        }
        if (bytes.getInt(at + 1) != sectionId) {
            return NO_END;
        }
        if (length == FOOTER_LENGTH) {
            return LENGTH_WITH_EOF;
        }
        return switch (Byte.toUnsignedInt(bytes.get(at + FOOTER_LENGTH))) {
            case Elements.SECTION_START, Elements.SECTION_FULL -> header(bytes, at, length);
            case Elements.SECTION_PART, Elements.SECTION_END -> knownId(bytes, at, length, knownIds);
            case Elements.COMMAND -> command(bytes, at, length);
            case Elements.EOF -> endOfStream(bytes, at, length);
            default -> NO_END;
        };
    }

    /** The verdict if the input ends behind these bytes, for which {@link #judge} has asked for more. */
    public static boolean endsWithInput(ByteBuffer bytes, int at, int length) {
        return length == FOOTER_LENGTH || (length == LENGTH_WITH_EOF && bytes.get(at + FOOTER_LENGTH) == Elements.EOF);
    }

    private static int knownId(ByteBuffer bytes, int at, int length, IntPredicate knownIds) {
        int wanted = FOOTER_LENGTH + 1 + Integer.BYTES;
        if (length < wanted) {
            return wanted;
        }
        return knownIds.test(bytes.getInt(at + FOOTER_LENGTH + 1)) ? END : NO_END;
    }

    /** A new section's id can be anything; its name is text. Name bytes are asked for one by one. */
    private static int header(ByteBuffer bytes, int at, int length) {
        int lengthAt = FOOTER_LENGTH + 1 + Integer.BYTES;
        if (length <= lengthAt) {
            return lengthAt + 1;
        }
        int nameLength = Byte.toUnsignedInt(bytes.get(at + lengthAt));
        for (int i = 1; i <= nameLength; i++) {
            if (length <= lengthAt + i) {
                return lengthAt + i + 1;
            }
            byte c = bytes.get(at + lengthAt + i);
            if (c < 0x20 || c >= 0x7F) {
                return NO_END;
            }
        }
        return nameLength > 0 ? END : NO_END;
    }

    private static int command(ByteBuffer bytes, int at, int length) {
        int wanted = FOOTER_LENGTH + 1 + Integer.BYTES;
        if (length < wanted) {
            return wanted;
        }
        int command = Short.toUnsignedInt(bytes.getShort(at + FOOTER_LENGTH + 1));
        int payload = Short.toUnsignedInt(bytes.getShort(at + FOOTER_LENGTH + 3));
        boolean legal = command <= COMMAND_LAST
                && switch (command) {
                    case 1, 4, 5, 8, 9, 11 -> payload == 0;
                    case 2, 7 -> payload == 4;
                    case 3 -> payload == 0 || payload == 16;
                    case 6 -> payload >= 20;
                    case 10 -> payload >= 2 && payload <= 1 + Names.MAX_LENGTH;
                    default -> false;
                };
        return legal ? END : NO_END;
    }

    private static int endOfStream(ByteBuffer bytes, int at, int length) {
        if (length == LENGTH_WITH_EOF) {
            return LENGTH_WITH_EOF + 1;
        }
        if (bytes.get(at + LENGTH_WITH_EOF) != Elements.VMDESCRIPTION) {
            return NO_END;
        }
        int wanted = LENGTH_WITH_EOF + 1 + Integer.BYTES + 1;
        if (length < wanted) {
            return wanted;
        }
        long description = Integer.toUnsignedLong(bytes.getInt(at + LENGTH_WITH_EOF + 1));
        boolean legal = description >= MIN_DESCRIPTION_LENGTH
                && description <= MAX_DESCRIPTION_LENGTH
                && bytes.get(at + wanted - 1) == '{';
        return legal ? END : NO_END;
    }
}
