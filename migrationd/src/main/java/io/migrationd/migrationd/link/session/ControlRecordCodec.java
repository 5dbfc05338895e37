package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.session.ControlRecord.Delivered;
import io.migrationd.migrationd.link.session.ControlRecord.End;
import io.migrationd.migrationd.link.session.ControlRecord.Message;
import io.migrationd.migrationd.link.session.ControlRecord.Open;
import io.migrationd.migrationd.link.session.ControlRecord.Reset;
import io.migrationd.protocol.wire.ProtocolException;
import java.nio.ByteBuffer;
import java.util.UUID;

/** The bytes of {@link ControlRecord}: a header of four bytes, type and length, then the body. */
final class ControlRecordCodec {
    static final int HEADER_BYTES = 4;
    static final int MAX_MESSAGE_BYTES = 256 * 1024;

    private static final int MESSAGE = 1;
    private static final int OPEN = 2;
    private static final int END = 3;
    private static final int RESET = 4;
    private static final int DELIVERED = 5;
    private static final int OPEN_BYTES = 4 + 1 + 2 + 4 + 16;

    private ControlRecordCodec() {}

    /** The length of the body, by a header; {@code offset} is that of the header in channel 0. */
    static int bodyLength(int header, long offset) throws ProtocolException {
        int length = header & 0xff_ffff;
        int least;
        int most;
        switch (header >>> 24) {
            case MESSAGE -> {
                least = 0;
                most = MAX_MESSAGE_BYTES;
            }
            case OPEN -> least = most = OPEN_BYTES;
            case END -> least = most = 12;
            case RESET -> {
                least = 4;
                most = 4 + PeerFrameCodec.MAX_REASON_BYTES;
            }
            case DELIVERED -> least = most = 4;
            default -> throw new ProtocolException("record.type", offset, "1 to 5", header >>> 24);
        }
        if (length < least || length > most) {
            throw new ProtocolException("record.length", offset, least + " to " + most + " bytes", length);
        }
        return length;
    }

    /** Decodes a whole body. */
    static ControlRecord decode(int header, ByteBuffer body, long offset) throws ProtocolException {
        int type = header >>> 24;
        if (type == MESSAGE) {
            byte[] content = new byte[body.remaining()];
            body.get(content);
            return new Message(content);
        }
        int channel = body.getInt();
        if (channel <= 0) {
            throw new ProtocolException("record.channel", offset, "1 to 2^31-1", channel);
        }
        return switch (type) {
            case OPEN -> new Open(channel, decodeSpec(body, offset));
            case END -> {
                long length = body.getLong();
                if (length < 0) {
                    throw new ProtocolException("end.length", offset, "no sign bit", length);
                }
                yield new End(channel, length);
            }
            case RESET -> new Reset(channel, PeerFrameCodec.text(body, body.remaining()));
            case DELIVERED -> new Delivered(channel);
            default -> throw new ProtocolException("record.type", offset, "1 to 5", type);
        };
    }

    private static ChannelSpec decodeSpec(ByteBuffer body, long offset) throws ProtocolException {
        int code = Byte.toUnsignedInt(body.get());
        ChannelKind kind = ChannelKind.ofCode(code)
                .orElseThrow(() -> new ProtocolException("open.kind", offset, "1, 2 or 3", code));
        int index = Short.toUnsignedInt(body.getShort());
        int attempt = body.getInt();
        if (attempt < 0) {
            throw new ProtocolException("open.attempt", offset, "no sign bit", attempt);
        }
        long high = body.getLong();
        return new ChannelSpec(kind, new UUID(high, body.getLong()), attempt, index);
    }

    /** The whole record. */
    static ByteBuffer encode(ControlRecord record) {
        ByteBuffer bytes = switch (record) {
            case Message(byte[] content) -> head(MESSAGE, content.length).put(content);
            case Open(int channel, ChannelSpec spec) ->
                head(OPEN, OPEN_BYTES)
                        .putInt(channel)
                        .put((byte) spec.kind().code())
                        .putShort((short) spec.index())
                        .putInt(spec.attempt())
                        .putLong(spec.move().getMostSignificantBits())
                        .putLong(spec.move().getLeastSignificantBits());
            case End(int channel, long length) -> head(END, 12).putInt(channel).putLong(length);
            case Reset(int channel, String reason) -> {
                byte[] text = PeerFrameCodec.cut(reason);
                yield head(RESET, 4 + text.length).putInt(channel).put(text);
            }
            case Delivered(int channel) -> head(DELIVERED, 4).putInt(channel);
        };
        return bytes.flip();
    }

    private static ByteBuffer head(int type, int length) {
        return ByteBuffer.allocate(HEADER_BYTES + length).putInt(type << 24 | length);
    }
}
