package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.session.PeerFrame.Ack;
import io.migrationd.migrationd.link.session.PeerFrame.Data;
import io.migrationd.migrationd.link.session.PeerFrame.Goodbye;
import io.migrationd.migrationd.link.session.PeerFrame.Hello;
import io.migrationd.migrationd.link.session.PeerFrame.Ping;
import io.migrationd.migrationd.link.session.PeerFrame.Pong;
import io.migrationd.migrationd.link.session.PeerFrame.Progress;
import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;

/** The bytes of {@link PeerFrame}: docs/peer-protocol.md. A header of four bytes, type and length, then the body. */
final class PeerFrameCodec {
    static final int HEADER_BYTES = 4;
    /** Channel and offset before the bytes of a channel. */
    static final int DATA_HEAD_BYTES = 12;

    static final int MAX_DATA_BYTES = 64 * 1024;
    static final int MAX_CHANNELS = 1024;
    static final int MAX_REASON_BYTES = 1024;
    static final int VERSION = 1;

    private static final long MAGIC = 0x4D49_4750_4545_520AL;
    private static final int HELLO = 1;
    private static final int DATA = 2;
    private static final int ACK = 3;
    private static final int PING = 4;
    private static final int PONG = 5;
    private static final int GOODBYE = 6;

    private static final int PROGRESS_BYTES = 20;
    private static final int HELLO_FIXED_BYTES = 8 + 2 + 1 + 16 + 16 + 8 + 1 + 2;
    private static final int FLAG_RESUME = 1;
    private static final int MAX_HELLO_BYTES =
            HELLO_FIXED_BYTES + PeerIdentity.MAX_HOST_BYTES + MAX_CHANNELS * PROGRESS_BYTES;

    private PeerFrameCodec() {}

    /** How many bytes of the body are needed to decode it, by a header; the bytes of a channel are not among them. */
    static int headLength(int header, long offset) throws ProtocolException {
        int length = header & 0xff_ffff;
        return switch (header >>> 24) {
            case HELLO -> within(length, HELLO_FIXED_BYTES + 1, MAX_HELLO_BYTES, "hello", offset);
            case DATA -> {
                within(length, DATA_HEAD_BYTES + 1, DATA_HEAD_BYTES + MAX_DATA_BYTES, "data", offset);
                yield DATA_HEAD_BYTES;
            }
            case ACK -> within(length, 12, 12, "ack", offset);
            case PING -> within(length, 8, 8, "ping", offset);
            case PONG -> within(length, 8, 8, "pong", offset);
            case GOODBYE -> within(length, 0, MAX_REASON_BYTES, "goodbye", offset);
            default -> throw new ProtocolException("frame.type", offset, "1 to 6", header >>> 24);
        };
    }

    private static int within(int length, int least, int most, String frame, long offset) throws ProtocolException {
        if (length < least || length > most) {
            throw new ProtocolException(frame + ".length", offset, least + " to " + most + " bytes", length);
        }
        return length;
    }

    /** Decodes the body that {@link #headLength} announced. */
    static PeerFrame decode(int header, ByteBuffer head, long offset) throws ProtocolException {
        return switch (header >>> 24) {
            case HELLO -> decodeHello(head, offset);
            case DATA -> {
                int channel = nonNegative(head.getInt(), "data.channel", offset);
                yield new Data(
                        channel,
                        nonNegative(head.getLong(), "data.offset", offset),
                        (header & 0xff_ffff) - DATA_HEAD_BYTES);
            }
            case ACK ->
                new Ack(
                        nonNegative(head.getInt(), "ack.channel", offset),
                        nonNegative(head.getLong(), "ack.delivered", offset));
            case PING -> new Ping(head.getLong());
            case PONG -> new Pong(head.getLong());
            case GOODBYE -> new Goodbye(text(head, head.remaining()));
            default -> throw new ProtocolException("frame.type", offset, "1 to 6", header >>> 24);
        };
    }

    private static Hello decodeHello(ByteBuffer head, long offset) throws ProtocolException {
        long magic = head.getLong();
        if (magic != MAGIC) {
            throw new ProtocolException("hello.magic", offset, Long.toHexString(MAGIC), Long.toHexString(magic));
        }
        int version = Short.toUnsignedInt(head.getShort());
        if (version != VERSION) {
            throw new ProtocolException("hello.version", offset, Integer.toString(VERSION), version);
        }
        int flags = Byte.toUnsignedInt(head.get());
        if ((flags & ~FLAG_RESUME) != 0) {
            throw new ProtocolException("hello.flags", offset, "0 or 1", flags);
        }
        UUID session = uuid(head);
        UUID incarnation = uuid(head);
        long maxBuffer = head.getLong();
        if (maxBuffer < PeerSettings.MIN_BUFFER_BYTES || maxBuffer > PeerSettings.MAX_BUFFER_BYTES) {
            throw new ProtocolException("hello.max-buffer", offset, "1 MiB to 1 GiB", maxBuffer);
        }
        int hostBytes = Byte.toUnsignedInt(head.get());
        if (hostBytes < 1 || hostBytes + 2 > head.remaining()) {
            throw new ProtocolException("hello.host", offset, "1 to 255 bytes within the frame", hostBytes);
        }
        String host = text(head, hostBytes);
        if (host.getBytes(StandardCharsets.UTF_8).length != hostBytes) {
            throw new ProtocolException("hello.host", offset, "UTF-8", "other bytes");
        }
        int count = Short.toUnsignedInt(head.getShort());
        if (count > MAX_CHANNELS || count * PROGRESS_BYTES != head.remaining()) {
            throw new ProtocolException(
                    "hello.channels", offset, "at most 1024, as long as the frame", count + " in " + head.remaining());
        }
        List<Progress> progress = new ArrayList<>(count);
        for (int i = 0; i < count; i++) {
            int channel = nonNegative(head.getInt(), "hello.channel", offset);
            long received = nonNegative(head.getLong(), "hello.received", offset);
            long delivered = nonNegative(head.getLong(), "hello.delivered", offset);
            if (delivered > received) {
                throw new ProtocolException("hello.delivered", offset, "at most " + received, delivered);
            }
            progress.add(new Progress(channel, received, delivered));
        }
        return new Hello(
                session,
                new PeerIdentity(host, incarnation),
                (flags & FLAG_RESUME) != 0,
                maxBuffer,
                List.copyOf(progress));
    }

    private static UUID uuid(ByteBuffer bytes) {
        long high = bytes.getLong();
        return new UUID(high, bytes.getLong());
    }

    private static int nonNegative(int value, String field, long offset) throws ProtocolException {
        return (int) nonNegative((long) value, field, offset);
    }

    private static long nonNegative(long value, String field, long offset) throws ProtocolException {
        if (value < 0) {
            throw new ProtocolException(field, offset, "no sign bit", value);
        }
        return value;
    }

    /** What is not UTF-8 becomes U+FFFD: for reasons, which only people read. */
    static String text(ByteBuffer bytes, int length) {
        byte[] text = new byte[length];
        bytes.get(text);
        return new String(text, StandardCharsets.UTF_8);
    }

    /** The whole frame; of {@link Data} the part before the channel's bytes. */
    static ByteBuffer encode(PeerFrame frame) {
        ByteBuffer bytes = switch (frame) {
            case Hello hello -> encodeHello(hello);
            case Data(int channel, long offset, int length) ->
                ByteBuffer.allocate(HEADER_BYTES + DATA_HEAD_BYTES)
                        .putInt(DATA << 24 | DATA_HEAD_BYTES + length)
                        .putInt(channel)
                        .putLong(offset);
            case Ack(int channel, long delivered) ->
                head(ACK, 12).putInt(channel).putLong(delivered);
            case Ping(long value) -> head(PING, 8).putLong(value);
            case Pong(long value) -> head(PONG, 8).putLong(value);
            case Goodbye(String reason) -> {
                byte[] text = cut(reason);
                yield head(GOODBYE, text.length).put(text);
            }
        };
        return bytes.flip();
    }

    /** As {@link #encode} of {@link Data}, straight into a buffer of Netty's. */
    static void writeDataHead(ByteBuf target, int channel, long offset, int length) {
        target.writeInt(DATA << 24 | DATA_HEAD_BYTES + length).writeInt(channel).writeLong(offset);
    }

    private static ByteBuffer encodeHello(Hello hello) {
        byte[] host = hello.identity().host().getBytes(StandardCharsets.UTF_8);
        int count = hello.progress().size();
        if (count > MAX_CHANNELS) {
            throw new IllegalStateException(count + " channels do not fit a hello");
        }
        ByteBuffer bytes = head(HELLO, HELLO_FIXED_BYTES + host.length + count * PROGRESS_BYTES)
                .putLong(MAGIC)
                .putShort((short) VERSION)
                .put((byte) (hello.resume() ? FLAG_RESUME : 0));
        put(bytes, hello.session());
        put(bytes, hello.identity().incarnation());
        bytes.putLong(hello.maxBufferBytes()).put((byte) host.length).put(host).putShort((short) count);
        for (Progress progress : hello.progress()) {
            bytes.putInt(progress.channel()).putLong(progress.received()).putLong(progress.delivered());
        }
        return bytes;
    }

    private static ByteBuffer head(int type, int length) {
        return ByteBuffer.allocate(HEADER_BYTES + length).putInt(type << 24 | length);
    }

    private static void put(ByteBuffer bytes, UUID uuid) {
        bytes.putLong(uuid.getMostSignificantBits()).putLong(uuid.getLeastSignificantBits());
    }

    /** A reason as bytes, cut where it is too long. */
    static byte[] cut(String reason) {
        byte[] text = reason.getBytes(StandardCharsets.UTF_8);
        return text.length <= MAX_REASON_BYTES ? text : Arrays.copyOf(text, MAX_REASON_BYTES);
    }
}
