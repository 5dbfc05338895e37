package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Objects;
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
    private static final int FOOTER_LENGTH = SectionEnd.FOOTER_LENGTH;

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
        int wanted = FOOTER_LENGTH;
        while (true) {
            ByteBuffer seen = in.peek(wanted);
            if (seen == null) {
                ByteBuffer rest = Objects.requireNonNull(in.peek(in.buffered()), "the rest");
                return SectionEnd.endsWithInput(rest, rest.position(), rest.remaining());
            }
            int verdict = SectionEnd.judge(seen, seen.position(), wanted, sectionId, knownIds);
            if (verdict == SectionEnd.END) {
                return true;
            }
            if (verdict == SectionEnd.NO_END) {
                return false;
            }
            boolean silent = !expectDescription && in.buffered() < verdict;
            if (silent
                    && wanted == SectionEnd.LENGTH_WITH_EOF
                    && SectionEnd.endsWithInput(seen, seen.position(), wanted)) {
                return true;
            }
            wanted = verdict;
        }
    }
}
