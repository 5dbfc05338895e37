package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.IntPredicate;

/**
 * Reads the body of a device section whose layout nobody told us. Nothing on the wire says where it ends, so the end is
 * found by its footer: {@code 7E} and the section's id, followed by what can only be the next element of the stream.
 * The bytes of a body are partly the guest's, so the result is a good guess and no more: compare it with the trailing
 * description when there is one ({@link SectionSplitter#verify}).
 *
 * <p>It never asks the source for a byte that would not come: of an element that may be the last one, only as much is
 * looked at as is sure to exist. One reader serves one stream; it is not thread-safe.
 */
public final class OpaqueSectionReader {
    /** More than the largest device state seen (displays included). */
    public static final int DEFAULT_BODY_LIMIT_BYTES = 64 << 20;

    /** For all opaque sections of one stream. */
    public static final long DEFAULT_TOTAL_LIMIT_BYTES = 256L << 20;

    private static final String FIELD = "section.body";
    private static final int FOOTER_LENGTH = 5;
    private static final int COMMAND_LAST = 11;
    private static final int MIN_DESCRIPTION_LENGTH = 2;
    private static final int MAX_DESCRIPTION_LENGTH = 64 << 20;

    private final int bodyLimitBytes;
    private final long totalLimitBytes;
    private final boolean expectDescription;
    private long totalBytes;

    /** A reader with the default limits for a stream that ends with a description or with its last byte. */
    public OpaqueSectionReader() {
        this(DEFAULT_BODY_LIMIT_BYTES, DEFAULT_TOTAL_LIMIT_BYTES, true);
    }

    /**
     * A reader with its own limits.
     *
     * @param expectDescription true: the end of the section loop counts only if a description or the end of the input
     *     follows it, so the reader waits for that. False, for a source that suppresses descriptions: it counts if
     *     nothing has arrived behind it, because such a source is silent until we answer; a footer in the middle of a
     *     body is then less likely to be told from a real one.
     */
    public OpaqueSectionReader(int bodyLimitBytes, long totalLimitBytes, boolean expectDescription) {
        this.bodyLimitBytes = bodyLimitBytes;
        this.totalLimitBytes = totalLimitBytes;
        this.expectDescription = expectDescription;
    }

    /**
     * Reads a body. The footer is left unread: the next byte of {@code in} is its {@code 7E}.
     *
     * @param knownIds tells the ids of sections that the stream has introduced so far
     * @throws ProtocolException if the input ends before a footer, or a limit is reached
     */
    public byte[] readBody(StreamReader in, int sectionId, IntPredicate knownIds) throws IOException {
        long start = in.offset();
        ByteArrayOutputStream body = new ByteArrayOutputStream(1024);
        while (true) {
            if (in.peek(FOOTER_LENGTH) == null) {
                throw new ProtocolException(
                        "section.footer",
                        in.offset(),
                        "the footer of section %d, which began at offset %d".formatted(sectionId, start),
                        "end of input");
            }
            int plain = bytesBeforeMarker(in);
            if (plain == 0) {
                if (isFooter(in, sectionId, knownIds)) {
                    return body.toByteArray();
                }
                plain = 1;
            }
            append(in, plain, body, start);
        }
    }

    private static int bytesBeforeMarker(StreamReader in) throws IOException {
        ByteBuffer seen = in.window(FIELD, 1);
        int position = seen.position();
        while (position < seen.limit() && seen.get(position) != (byte) Elements.SECTION_FOOTER) {
            position++;
        }
        return Math.min(position - seen.position(), StreamReader.MAX_SLICE);
    }

    private void append(StreamReader in, int length, ByteArrayOutputStream body, long start) throws IOException {
        if (length > bodyLimitBytes - body.size()) {
            throw new ProtocolException(
                    FIELD, start, "at most " + bodyLimitBytes + " bytes", "no footer after that many bytes");
        }
        totalBytes += length;
        if (totalBytes > totalLimitBytes) {
            throw new ProtocolException(
                    FIELD, start, "at most " + totalLimitBytes + " bytes in all device sections", totalBytes);
        }
        ByteBuffer piece = in.slice(FIELD, length);
        byte[] copy = new byte[length];
        piece.get(copy, 0, length);
        body.writeBytes(copy);
    }

    private boolean isFooter(StreamReader in, int sectionId, IntPredicate knownIds) throws IOException {
        ByteBuffer footer = in.peek(FOOTER_LENGTH);
        if (footer == null || footer.getInt(1) != sectionId) {
            return false;
        }
        ByteBuffer next = in.peek(FOOTER_LENGTH + 1);
        if (next == null) {
            return true;
        }
        return switch (Byte.toUnsignedInt(next.get(FOOTER_LENGTH))) {
            case Elements.SECTION_START, Elements.SECTION_FULL -> isHeader(in);
            case Elements.SECTION_PART, Elements.SECTION_END -> isKnownId(in, knownIds);
            case Elements.COMMAND -> isCommand(in);
            case Elements.EOF -> isEnd(in);
            default -> false;
        };
    }

    private static boolean isKnownId(StreamReader in, IntPredicate knownIds) throws IOException {
        ByteBuffer id = in.peek(FOOTER_LENGTH + 5);
        return id != null && knownIds.test(id.getInt(FOOTER_LENGTH + 1));
    }

    /** A new section's id can be anything; its name is text. Name bytes are asked for one by one, see the class. */
    private static boolean isHeader(StreamReader in) throws IOException {
        int lengthAt = FOOTER_LENGTH + 5;
        ByteBuffer head = in.peek(lengthAt + 1);
        int length = head == null ? 0 : Byte.toUnsignedInt(head.get(lengthAt));
        for (int i = 1; i <= length; i++) {
            ByteBuffer name = in.peek(lengthAt + 1 + i);
            if (name == null || !isPrintable(name.get(lengthAt + i))) {
                return false;
            }
        }
        return length > 0;
    }

    private static boolean isPrintable(byte c) {
        return c >= 0x20 && c < 0x7F;
    }

    private static boolean isCommand(StreamReader in) throws IOException {
        ByteBuffer head = in.peek(FOOTER_LENGTH + 5);
        if (head == null) {
            return false;
        }
        int command = Short.toUnsignedInt(head.getShort(FOOTER_LENGTH + 1));
        int length = Short.toUnsignedInt(head.getShort(FOOTER_LENGTH + 3));
        return command <= COMMAND_LAST
                && switch (command) {
                    case 1, 4, 5, 8, 9, 11 -> length == 0;
                    case 2, 7 -> length == 4;
                    case 3 -> length == 0 || length == 16;
                    case 6 -> length >= 20;
                    case 10 -> length >= 2 && length <= 1 + Names.MAX_LENGTH;
                    default -> false;
                };
    }

    private boolean isEnd(StreamReader in) throws IOException {
        int beyond = FOOTER_LENGTH + 1;
        if (!expectDescription && in.buffered() <= beyond) {
            return true;
        }
        ByteBuffer next = in.peek(beyond + 1);
        if (next == null) {
            return true;
        }
        if (next.get(beyond) != Elements.VMDESCRIPTION) {
            return false;
        }
        ByteBuffer description = in.peek(beyond + 6);
        if (description == null) {
            return false;
        }
        long length = Integer.toUnsignedLong(description.getInt(beyond + 1));
        return length >= MIN_DESCRIPTION_LENGTH
                && length <= MAX_DESCRIPTION_LENGTH
                && description.get(beyond + 5) == '{';
    }
}
