package io.migrationd.migrationd.link.session;

import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;

/** Offsets of one channel, both directions: what every channel and the control channel have in common. Event loop. */
abstract class Lane {
    private final int id;
    private final SendQueue out = new SendQueue();

    /** Written by the event loop only, read by any thread. */
    private volatile long written;

    private volatile long deliveredThere;
    private volatile long received;
    private volatile long delivered;

    private long announced;

    Lane(int id) {
        this.id = id;
    }

    final int id() {
        return id;
    }

    /** Goes before bulk. */
    abstract boolean isUrgent();

    /** Most bytes that may be sent without being delivered. */
    abstract long sendWindow();

    /** Most bytes that the peer may send without their being delivered. */
    abstract long receiveWindow();

    /** Takes bytes, which are its own then. */
    abstract void take(ByteBuf bytes);

    /** The far end has delivered {@code bytes} more. */
    abstract void deliveredMore(long bytes);

    final void append(ByteBuf bytes) {
        out.append(bytes);
        written = out.end();
    }

    final boolean isSendable() {
        return out.hasNext() && out.next() - out.acked() < sendWindow();
    }

    final long nextOffset() {
        return out.next();
    }

    /** Bytes for the next frame. */
    final ByteBuf next() {
        long open = sendWindow() - (out.next() - out.acked());
        return out.take((int) Math.min(PeerFrameCodec.MAX_DATA_BYTES, open));
    }

    final void receive(long offset, ByteBuf bytes) throws ProtocolException {
        int length = bytes.readableBytes();
        if (offset != received) {
            bytes.release();
            throw new ProtocolException("data.offset of channel " + id, offset, Long.toString(received), offset);
        }
        if (offset + length - delivered > receiveWindow()) {
            bytes.release();
            throw new ProtocolException(
                    "data.length of channel " + id,
                    offset,
                    "at most %d bytes that are not delivered".formatted(receiveWindow()),
                    offset + length - delivered);
        }
        received = offset + length;
        take(bytes);
    }

    final void acknowledge(long offset) throws ProtocolException {
        long before = out.acked();
        if (offset < before || offset > out.next()) {
            throw new ProtocolException("ack.delivered of channel " + id, offset, before + " to " + out.next(), offset);
        }
        if (offset > before) {
            out.ack(offset);
            deliveredThere = offset;
            deliveredMore(offset - before);
        }
    }

    /** Checks what the peer says after a break, before anything is changed. */
    final void check(PeerFrame.Progress progress) throws ProtocolException {
        if (progress.delivered() < out.acked() || progress.received() > out.end()) {
            throw new ProtocolException(
                    "hello.received of channel " + id,
                    progress.received(),
                    out.acked() + " to " + out.end(),
                    progress.delivered() + " and " + progress.received());
        }
    }

    /** Sends again what the peer has not received. */
    final void resume(PeerFrame.Progress progress) {
        out.rewind(progress.received());
        long before = out.acked();
        if (progress.delivered() > before) {
            out.ack(progress.delivered());
            deliveredThere = progress.delivered();
            deliveredMore(progress.delivered() - before);
        }
    }

    /** The peer does not know the channel yet. */
    final void resumeUnknown() {
        out.rewind(out.acked());
    }

    final PeerFrame.Progress progress() {
        announced = delivered;
        return new PeerFrame.Progress(id, received, delivered);
    }

    final void addDelivered(long bytes) {
        long now = delivered + bytes;
        if (bytes < 0 || now > received) {
            throw new IllegalStateException("channel %d: %d bytes delivered beyond %d of %d received"
                    .formatted(id, bytes, delivered, received));
        }
        delivered = now;
    }

    final boolean isAckDue() {
        return announced != delivered;
    }

    final long announce() {
        announced = delivered;
        return announced;
    }

    final void releaseQueue() {
        out.release();
    }

    /** Bytes written, from the first on. */
    public final long writtenBytes() {
        return written;
    }

    /** Bytes written that the far end has delivered. */
    public final long deliveredThereBytes() {
        return deliveredThere;
    }

    /** Bytes received. */
    public final long receivedBytes() {
        return received;
    }

    /** Bytes received that were delivered here. */
    public final long deliveredBytes() {
        return delivered;
    }
}
