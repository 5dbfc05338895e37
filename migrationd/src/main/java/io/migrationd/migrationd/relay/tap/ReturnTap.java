package io.migrationd.migrationd.relay.tap;

import static io.migrationd.returnpath.ReturnPathCodec.BITMAP_END_MARK;
import static io.migrationd.returnpath.ReturnPathCodec.MAX_PAYLOAD_BYTES;
import static io.migrationd.returnpath.ReturnPathCodec.PONG;
import static io.migrationd.returnpath.ReturnPathCodec.RANGE_BYTES;
import static io.migrationd.returnpath.ReturnPathCodec.RECV_BITMAP;
import static io.migrationd.returnpath.ReturnPathCodec.REQ_PAGES;
import static io.migrationd.returnpath.ReturnPathCodec.REQ_PAGES_ID;
import static io.migrationd.returnpath.ReturnPathCodec.RESUME_ACK;
import static io.migrationd.returnpath.ReturnPathCodec.SHUT;
import static io.migrationd.returnpath.ReturnPathCodec.SWITCHOVER_ACK;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.returnpath.ReceivedPages;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * Watches the reverse direction of a main channel. A received bitmap has a body outside of its message, which is passed
 * over. Nothing is allocated per request.
 */
public final class ReturnTap extends PushParser {
    private static final int HEAD = 2 * Short.BYTES;
    private static final int MAX_PONGS = 64;
    private static final long ABSENT = -1;

    private enum State {
        MESSAGE,
        BITMAP_SIZE,
        BITMAP_END
    }

    /** A PONG: its value and where its message begins. */
    public record PongSeen(int value, long offset) {}

    private final Listener listener;
    private final List<PongSeen> pongs = new ArrayList<>();
    private State state = State.MESSAGE;
    private long requests;
    private long requestedBytes;
    private long firstRequest = ABSENT;
    private long bitmaps;
    private long resumeAcks;
    private long switchoverAck = ABSENT;
    private long shutEnd = ABSENT;
    private int shutValue;

    /** Told of messages that are rare, from within {@link PushParser#accept}. Requests for pages are counted only. */
    public interface Listener {
        /** Does nothing. */
        Listener NONE = (type, value, endOffset) -> {};

        /**
         * A message has passed.
         *
         * @param type its number on the wire
         * @param value of PONG, RESUME_ACK and SHUT, else 0
         * @param endOffset of the first byte behind it
         */
        void message(int type, int value, long endOffset);
    }

    /** A tap nobody listens to. */
    public ReturnTap() {
        this(Listener.NONE);
    }

    /** A tap that tells {@code listener} of PONGs, bitmaps, acknowledgements and SHUT. */
    public ReturnTap(Listener listener) {
        this.listener = listener;
    }

    @Override
    int step(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (isEnded()) {
            throw new ProtocolException("rp.type", offset(), "nothing behind SHUT", "some bytes");
        }
        return switch (state) {
            case MESSAGE -> message(in, at, limit);
            case BITMAP_SIZE -> bitmapSize(in, at, limit);
            case BITMAP_END -> bitmapEnd(in, at, limit);
        };
    }

    private int message(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at < HEAD) {
            return ~HEAD;
        }
        int type = Short.toUnsignedInt(in.getShort(at));
        int length = Short.toUnsignedInt(in.getShort(at + Short.BYTES));
        if (type < SHUT || type > SWITCHOVER_ACK) {
            throw new ProtocolException("rp.type", offset(), "1 to 7", type);
        }
        if (length > MAX_PAYLOAD_BYTES || !isLegal(type, length)) {
            throw new ProtocolException("rp.length", offset() + Short.BYTES, "what type " + type + " has", length);
        }
        if (limit - at < HEAD + length) {
            return ~(HEAD + length);
        }
        int nameAt = type == REQ_PAGES_ID ? RANGE_BYTES : 0;
        boolean named = type == REQ_PAGES_ID || type == RECV_BITMAP;
        if (named && Byte.toUnsignedInt(in.get(at + HEAD + nameAt)) != length - nameAt - 1) {
            throw new ProtocolException("rp.length", offset() + Short.BYTES, "a name that fills the message", length);
        }
        take(type, in, at + HEAD, HEAD + length);
        return HEAD + length;
    }

    private static boolean isLegal(int type, int length) {
        return switch (type) {
            case SHUT, PONG, RESUME_ACK -> length == Integer.BYTES;
            case REQ_PAGES -> length == RANGE_BYTES;
            case REQ_PAGES_ID -> length >= RANGE_BYTES + 2;
            case RECV_BITMAP -> length >= 2;
            default -> length == 0;
        };
    }

    private void take(int type, ByteBuffer in, int payload, int length) {
        long endOffset = offset() + length;
        switch (type) {
            case REQ_PAGES, REQ_PAGES_ID -> {
                if (firstRequest == ABSENT) {
                    firstRequest = offset();
                }
                requests++;
                requestedBytes += Integer.toUnsignedLong(in.getInt(payload + Long.BYTES));
            }
            case PONG -> {
                int value = in.getInt(payload);
                if (pongs.size() < MAX_PONGS) {
                    pongs.add(new PongSeen(value, offset()));
                }
                listener.message(type, value, endOffset);
            }
            case RECV_BITMAP -> state = State.BITMAP_SIZE;
            case RESUME_ACK -> {
                resumeAcks++;
                listener.message(type, in.getInt(payload), endOffset);
            }
            case SWITCHOVER_ACK -> {
                switchoverAck = offset();
                listener.message(type, 0, endOffset);
            }
            default -> {
                shutValue = in.getInt(payload);
                shutEnd = endOffset;
                end();
                listener.message(type, shutValue, endOffset);
            }
        }
    }

    private int bitmapSize(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at < Long.BYTES) {
            return ~Long.BYTES;
        }
        long size = in.getLong(at);
        if (size < Long.BYTES || size > ReceivedPages.MAX_BYTES || size % Long.BYTES != 0) {
            throw new ProtocolException("rp.bitmap.size", offset(), "8 to " + ReceivedPages.MAX_BYTES, size);
        }
        skip(size);
        state = State.BITMAP_END;
        return Long.BYTES;
    }

    private int bitmapEnd(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at < Long.BYTES) {
            return ~Long.BYTES;
        }
        if (in.getLong(at) != BITMAP_END_MARK) {
            throw new ProtocolException("rp.bitmap.end", offset(), "the end mark", "something else");
        }
        bitmaps++;
        state = State.MESSAGE;
        listener.message(RECV_BITMAP, 0, offset() + Long.BYTES);
        return Long.BYTES;
    }

    /** The first 64 PONGs in their order. */
    public List<PongSeen> pongs() {
        return List.copyOf(pongs);
    }

    /** True once a PONG of that value has passed. */
    public boolean hasPong(int value) {
        return pongs.stream().anyMatch(pong -> pong.value() == value);
    }

    /** Requests for pages, with and without a block's name. */
    public long requests() {
        return requests;
    }

    /** Bytes that they asked for, with repetitions. */
    public long requestedBytes() {
        return requestedBytes;
    }

    /** Where the first request begins: the destination has touched a missing page. */
    public OptionalLong firstRequest() {
        return optional(firstRequest);
    }

    /** Received bitmaps that have passed whole. */
    public long bitmaps() {
        return bitmaps;
    }

    /** Answers to POSTCOPY_RESUME. */
    public long resumeAcks() {
        return resumeAcks;
    }

    /** Where the destination said that the source may switch over. */
    public OptionalLong switchoverAck() {
        return optional(switchoverAck);
    }

    /** The destination's last word: 0 for success. */
    public OptionalInt shut() {
        return shutEnd == ABSENT ? OptionalInt.empty() : OptionalInt.of(shutValue);
    }

    /** The first byte behind SHUT: when that much has been delivered, the source knows. */
    public OptionalLong shutEnd() {
        return optional(shutEnd);
    }

    private static OptionalLong optional(long offset) {
        return offset == ABSENT ? OptionalLong.empty() : OptionalLong.of(offset);
    }
}
