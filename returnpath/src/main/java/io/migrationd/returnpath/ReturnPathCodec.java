package io.migrationd.returnpath;

import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.OptionalLong;

/**
 * be16 type, be16 payload length, payload. RECV_BITMAP is followed by bytes that its length does not count: be64 size,
 * the bitmap (little-endian), be64 end mark. Wire source: QEMU 10.0 migration/migration.c source_return_path_thread and
 * migrate_send_rp_message, migration/ram.c ramblock_recv_bitmap_send.
 */
public final class ReturnPathCodec {
    /** A source keeps a payload buffer of this size, whatever the type. */
    public static final int MAX_PAYLOAD_BYTES = 512;

    /** Message type. The destination ends the return path. */
    public static final int SHUT = 1;
    /** Message type. The answer to a PING. */
    public static final int PONG = 2;
    /** Message type. A request for pages that names its block. */
    public static final int REQ_PAGES_ID = 3;
    /** Message type. A request for pages of the block asked for before. */
    public static final int REQ_PAGES = 4;
    /** Message type. A received bitmap; its body follows outside of the message. */
    public static final int RECV_BITMAP = 5;
    /** Message type. The answer to POSTCOPY_RESUME. */
    public static final int RESUME_ACK = 6;
    /** Message type. The source may switch over. */
    public static final int SWITCHOVER_ACK = 7;

    /** Payload of REQ_PAGES: be64 start, be32 length. REQ_PAGES_ID has a counted name behind it. */
    public static final int RANGE_BYTES = Long.BYTES + Integer.BYTES;
    /** What follows a bitmap. */
    public static final long BITMAP_END_MARK = 0x0123456789abcdefL;

    private ReturnPathCodec() {}

    /**
     * Reads one message, blocking until it is whole.
     *
     * @param bitmaps asked before anything of a bitmap is read
     * @throws ProtocolException if the bytes are not a message, or end within one
     */
    public static ReturnPathMessage decode(StreamReader in, BitmapSizes bitmaps) throws IOException {
        long at = in.offset();
        int type = in.readU16("rp.type");
        if (type < SHUT || type > SWITCHOVER_ACK) {
            throw new ProtocolException("rp.type", at, "1 to 7", type);
        }
        int length = readLength(in);
        return switch (type) {
            case SHUT -> new Shut(fixed(length, Integer.BYTES, in).readInt("rp.shut.status"));
            case PONG -> new Pong(fixed(length, Integer.BYTES, in).readInt("rp.pong.value"));
            case REQ_PAGES_ID -> readRequestPagesOf(length, in);
            case REQ_PAGES -> new RequestPages(readStart(fixed(length, RANGE_BYTES, in)), readRequestLength(in));
            case RECV_BITMAP -> readReceivedBitmap(length, in, bitmaps);
            case RESUME_ACK -> new ResumeAck(fixed(length, Integer.BYTES, in).readInt("rp.resume-ack.value"));
            case SWITCHOVER_ACK -> noPayload(length, in);
            default -> throw new AssertionError("type " + type);
        };
    }

    /**
     * The bytes of one message.
     *
     * @throws IllegalArgumentException if a block's name has no or more than 255 bytes
     */
    public static byte[] encode(ReturnPathMessage message) {
        WireWriter out = switch (message) {
            case Shut(int status) -> frame(SHUT, Integer.BYTES).writeInt(status);
            case Pong(int value) -> frame(PONG, Integer.BYTES).writeInt(value);
            case RequestPagesOf(String block, long start, int lengthBytes) ->
                frame(REQ_PAGES_ID, RANGE_BYTES + 1 + block.length())
                        .writeLong(start)
                        .writeInt(lengthBytes)
                        .writeName(block);
            case RequestPages(long start, int lengthBytes) ->
                frame(REQ_PAGES, RANGE_BYTES).writeLong(start).writeInt(lengthBytes);
            case ReceivedBitmap(String block, ReceivedPages pages) ->
                bitmapHead(block, pages).writeBytes(pages.wireBytes()).writeBytes(bitmapTail());
            case ResumeAck(int value) -> frame(RESUME_ACK, Integer.BYTES).writeInt(value);
            case SwitchoverAck() -> frame(SWITCHOVER_ACK, 0);
        };
        return out.toByteArray();
    }

    /** What precedes the words of a bitmap. The words and {@link #bitmapTail} follow. */
    static WireWriter bitmapHead(String block, ReceivedPages pages) {
        return frame(RECV_BITMAP, 1 + block.length()).writeName(block).writeLong(pages.lengthBytes());
    }

    /** What follows the words of a bitmap. */
    static byte[] bitmapTail() {
        return new WireWriter().writeLong(BITMAP_END_MARK).toByteArray();
    }

    /** A name has one byte for each char, or {@link WireWriter#writeName} refuses it. */
    private static WireWriter frame(int type, int payloadBytes) {
        return new WireWriter().writeU16(type).writeU16(payloadBytes);
    }

    private static int readLength(StreamReader in) throws IOException {
        long at = in.offset();
        int length = in.readU16("rp.length");
        if (length > MAX_PAYLOAD_BYTES) {
            throw badLength(at, "at most " + MAX_PAYLOAD_BYTES + " bytes", length);
        }
        return length;
    }

    private static StreamReader fixed(int length, int expected, StreamReader in) throws ProtocolException {
        if (length == expected) {
            return in;
        }
        throw badLength(in.offset() - Short.BYTES, expected + " bytes", length);
    }

    private static SwitchoverAck noPayload(int length, StreamReader in) throws ProtocolException {
        fixed(length, 0, in);
        return new SwitchoverAck();
    }

    private static RequestPagesOf readRequestPagesOf(int length, StreamReader in) throws IOException {
        long lengthAt = in.offset() - Short.BYTES;
        requireRoomForName(length, RANGE_BYTES, lengthAt);
        long start = readStart(in);
        int lengthBytes = readRequestLength(in);
        return new RequestPagesOf(readName("rp.request.block", RANGE_BYTES, length, lengthAt, in), start, lengthBytes);
    }

    private static long readStart(StreamReader in) throws IOException {
        long at = in.offset();
        long start = in.readLong("rp.request.start");
        if (start < 0) {
            throw new ProtocolException("rp.request.start", at, "an offset below 2^63", "0x" + Long.toHexString(start));
        }
        return start;
    }

    private static int readRequestLength(StreamReader in) throws IOException {
        long at = in.offset();
        long lengthBytes = in.readU32("rp.request.length");
        if (lengthBytes < 1 || lengthBytes > Integer.MAX_VALUE) {
            throw new ProtocolException("rp.request.length", at, "1 to 2^31 - 1 bytes", lengthBytes + " bytes");
        }
        return (int) lengthBytes;
    }

    private static ReceivedBitmap readReceivedBitmap(int length, StreamReader in, BitmapSizes bitmaps)
            throws IOException {
        long lengthAt = in.offset() - Short.BYTES;
        requireRoomForName(length, 0, lengthAt);
        long nameAt = in.offset();
        String block = readName("rp.bitmap.block", 0, length, lengthAt, in);
        OptionalLong expected = bitmaps.expectedBytes(block);
        if (expected.isEmpty()) {
            throw new ProtocolException(
                    "rp.bitmap.block", nameAt, "a block whose bitmap was asked for", "'" + block + "'");
        }
        return new ReceivedBitmap(block, readPages(expected.getAsLong(), in));
    }

    private static ReceivedPages readPages(long expectedBytes, StreamReader in) throws IOException {
        long sizeAt = in.offset();
        long size = in.readLong("rp.bitmap.size");
        if (size != expectedBytes) {
            throw new ProtocolException(
                    "rp.bitmap.size", sizeAt, expectedBytes + " bytes", Long.toUnsignedString(size) + " bytes");
        }
        if (size < Long.BYTES || size > ReceivedPages.MAX_BYTES || size % Long.BYTES != 0) {
            throw new IllegalStateException("no block has a bitmap of " + size + " bytes");
        }
        long[] words = new long[(int) (size / Long.BYTES)];
        int done = 0;
        while (done < words.length) {
            ByteBuffer some = in.peekRecords("rp.bitmap.words", Long.BYTES, words.length - done);
            int count = some.remaining() / Long.BYTES;
            some.order(ByteOrder.LITTLE_ENDIAN).asLongBuffer().get(words, done, count);
            in.skipBuffered(count * Long.BYTES);
            done += count;
        }
        long markAt = in.offset();
        long mark = in.readLong("rp.bitmap.end");
        if (mark != BITMAP_END_MARK) {
            throw new ProtocolException("rp.bitmap.end", markAt, hex(BITMAP_END_MARK), hex(mark));
        }
        return ReceivedPages.owning(words);
    }

    /** {@code before} bytes, u8 n and 1 to 255 bytes: refused before any of them is read. */
    private static void requireRoomForName(int length, int before, long lengthAt) throws ProtocolException {
        int least = before + 2;
        int most = before + 1 + Names.MAX_LENGTH;
        if (length < least || length > most) {
            throw badLength(lengthAt, least + " to " + most + " bytes", length);
        }
    }

    private static String readName(String field, int before, int length, long lengthAt, StreamReader in)
            throws IOException {
        long at = in.offset();
        int nameLength = in.readU8(field);
        if (nameLength == 0) {
            throw new ProtocolException(field, at, "a name of 1 to 255 bytes", "an empty one");
        }
        if (length != before + 1 + nameLength) {
            throw badLength(lengthAt, (before + 1 + nameLength) + " bytes", length);
        }
        return Names.fromWire(in.readBytes(field, nameLength, Names.MAX_LENGTH));
    }

    private static ProtocolException badLength(long at, String expected, int actual) {
        return new ProtocolException("rp.length", at, expected, actual + " bytes");
    }

    private static String hex(long value) {
        return "0x%016x".formatted(value);
    }
}
