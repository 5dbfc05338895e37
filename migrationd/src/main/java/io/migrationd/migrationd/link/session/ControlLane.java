package io.migrationd.migrationd.link.session;

import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/**
 * Channel 0: cuts its bytes into records. A message counts as delivered when the daemon has taken it, all other records
 * when they are done, but never before the messages in front of them. Event loop.
 */
final class ControlLane extends Lane {
    /** Records that are no messages: open, end, delivered or reset of each channel. Far from what they can need. */
    private static final int RECORDS_BYTES = 4 << 20;

    /** What happens with a record. */
    interface Records {
        void record(ControlRecord record) throws ProtocolException;

        void acknowledged(long bytes);

        void broken(ProtocolException cause);
    }

    private final Records records;
    /** Of the messages that the daemon has not taken, with the other records behind each: bytes of channel 0. */
    private final ArrayDeque<Long> untaken = new ArrayDeque<>();

    private final ByteBuffer header = ByteBuffer.allocate(ControlRecordCodec.HEADER_BYTES);
    private @Nullable ByteBuffer body;

    ControlLane(Records records) {
        super(0);
        this.records = records;
    }

    @Override
    boolean isUrgent() {
        return true;
    }

    @Override
    long sendWindow() {
        return Long.MAX_VALUE;
    }

    @Override
    long receiveWindow() {
        return PeerSession.MAX_QUEUED_BYTES + RECORDS_BYTES;
    }

    @Override
    void take(ByteBuf bytes) {
        try {
            while (bytes.isReadable() || isComplete()) {
                step(bytes);
            }
        } catch (ProtocolException e) {
            records.broken(e);
        } finally {
            bytes.release();
        }
    }

    private boolean isComplete() {
        return body != null && !body.hasRemaining();
    }

    private void step(ByteBuf bytes) throws ProtocolException {
        if (body == null) {
            fill(header, bytes);
            if (!header.hasRemaining()) {
                body = ByteBuffer.allocate(ControlRecordCodec.bodyLength(header.getInt(0), receivedBytes()));
            }
            return;
        }
        fill(body, bytes);
        if (isComplete()) {
            ByteBuffer whole = body.flip();
            int length = ControlRecordCodec.HEADER_BYTES + whole.limit();
            body = null;
            header.clear();
            ControlRecord record = ControlRecordCodec.decode(header.getInt(0), whole, receivedBytes());
            if (record instanceof ControlRecord.Message) {
                untaken.add((long) length);
                records.record(record);
            } else {
                records.record(record);
                done(length);
            }
        }
    }

    private static void fill(ByteBuffer target, ByteBuf source) {
        int count = Math.min(target.remaining(), source.readableBytes());
        int limit = target.limit();
        target.limit(target.position() + count);
        source.readBytes(target);
        target.limit(limit);
    }

    private void done(long length) {
        Long before = untaken.pollLast();
        if (before == null) {
            addDelivered(length);
        } else {
            untaken.add(before + length);
        }
    }

    /** The daemon has taken the oldest message. */
    void taken() {
        addDelivered(untaken.remove());
    }

    @Override
    void deliveredMore(long bytes) {
        records.acknowledged(bytes);
    }
}
