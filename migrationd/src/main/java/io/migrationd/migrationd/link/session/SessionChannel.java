package io.migrationd.migrationd.link.session;

import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A channel of a {@link LinkedSession}. Event loop, but for the counters. */
final class SessionChannel extends Lane implements PeerChannel {
    private static final Logger log = LoggerFactory.getLogger(SessionChannel.class);

    /** Until somebody says otherwise. */
    static final long FIRST_WINDOW_BYTES = 1 << 20;

    private static final long UNKNOWN = -1;

    private final LinkedSession session;
    private final ChannelSpec spec;
    private final boolean opener;
    private @Nullable ChannelReader reader;

    /** Read by any thread. */
    private volatile long window = FIRST_WINDOW_BYTES;

    private boolean bulk;
    private long incomingLength = UNKNOWN;
    private boolean ended;
    private boolean incomingEnded;
    private boolean incomingDone;
    private boolean outgoingDone;
    private boolean dead;

    SessionChannel(LinkedSession session, int id, ChannelSpec spec, boolean opener) {
        super(id);
        this.session = session;
        this.spec = spec;
        this.opener = opener;
    }

    void read(ChannelReader newReader) {
        reader = newReader;
    }

    private ChannelReader reader() {
        if (reader == null) {
            throw new IllegalStateException("channel without reader");
        }
        return reader;
    }

    @Override
    boolean isUrgent() {
        return !opener || spec.kind() == ChannelKind.PREEMPT;
    }

    @Override
    long sendWindow() {
        return Math.min(window, session.largestWindow());
    }

    @Override
    long receiveWindow() {
        return session.ownBufferBytes();
    }

    @Override
    void take(ByteBuf bytes) {
        if (incomingLength != UNKNOWN && receivedBytes() > incomingLength) {
            bytes.release();
            fail("the peer sends more than the %d bytes it has announced".formatted(incomingLength));
            return;
        }
        session.touched(this);
        guard(() -> reader().received(bytes));
    }

    void receivedAll() {
        if (!dead) {
            guard(() -> {
                reader().receivedAll();
                tellEnd();
            });
        }
    }

    /** The bytes that a reader has failed at don't come again: its channel is over, and no other one. */
    private void guard(Runnable call) {
        try {
            call.run();
        } catch (RuntimeException e) {
            log.atError().addKeyValue("channel", spec).setCause(e).log("reader of a channel failed");
            fail("a fault of the daemon: " + e);
        }
    }

    private void fail(String reason) {
        if (!dead) {
            reset(reason);
            reader().reset(reason);
        }
    }

    @Override
    void deliveredMore(long bytes) {
        session.measured(bytes);
        session.roomGrown(this);
    }

    void tellRoom() {
        if (!dead) {
            guard(() -> reader().roomGrown());
        }
    }

    /** The peer has said how long its direction is. */
    void end(long length) throws ProtocolException {
        if (incomingLength != UNKNOWN || length < receivedBytes()) {
            throw new ProtocolException(
                    "end.length of channel " + id(), length, "once, at least " + receivedBytes(), length);
        }
        incomingLength = length;
        session.touched(this);
    }

    private void tellEnd() {
        if (incomingLength == receivedBytes() && !incomingEnded) {
            incomingEnded = true;
            reader().ended();
            finishIncoming();
        }
    }

    private void finishIncoming() {
        if (!dead && incomingEnded && !incomingDone && deliveredBytes() == incomingLength) {
            incomingDone = true;
            session.record(new ControlRecord.Delivered(id()));
            removeIfDone();
        }
    }

    /** The peer has delivered all. */
    void finish() throws ProtocolException {
        if (!ended || outgoingDone) {
            throw new ProtocolException("delivered of channel " + id(), 0, "once, after its end", "another");
        }
        acknowledgeAll();
        outgoingDone = true;
        removeIfDone();
        reader().finished();
    }

    private void acknowledgeAll() throws ProtocolException {
        // Its last ack may have been lost with a connection; the record says the same.
        resume(new PeerFrame.Progress(id(), writtenBytes(), writtenBytes()));
    }

    private void removeIfDone() {
        if (incomingDone && outgoingDone) {
            session.remove(this);
        }
    }

    /** Broken by the peer or by the end of the session. */
    void broken(String reason) {
        if (!dead) {
            die();
            reader().reset(reason);
        }
    }

    private void die() {
        dead = true;
        releaseQueue();
        session.remove(this);
    }

    @Override
    public ChannelSpec spec() {
        return spec;
    }

    @Override
    public void write(ByteBuf bytes) {
        if (dead || ended) {
            bytes.release();
            if (ended) {
                throw new IllegalStateException("written after the end of channel " + id());
            }
            return;
        }
        append(bytes);
    }

    @Override
    public void bulk(boolean on) {
        bulk = on;
        session.depthChanged();
    }

    boolean isBulk() {
        return bulk;
    }

    @Override
    public void flush() {
        session.pump();
    }

    @Override
    public void end() {
        if (!dead && !ended) {
            ended = true;
            session.record(new ControlRecord.End(id(), writtenBytes()));
        }
    }

    @Override
    public void reset(String reason) {
        if (!dead && !(incomingDone && outgoingDone)) {
            die();
            session.record(new ControlRecord.Reset(id(), reason));
        }
    }

    @Override
    public void delivered(long bytes) {
        if (!dead) {
            addDelivered(bytes);
            session.ackDue(this);
            finishIncoming();
        }
    }

    @Override
    public long room() {
        return sendWindow() - (writtenBytes() - deliveredThereBytes());
    }

    @Override
    public void window(long bytes) {
        if (bytes < 1) {
            throw new IllegalArgumentException("a window of " + bytes + " bytes");
        }
        boolean grows = bytes > window;
        window = bytes;
        if (grows && !dead) {
            session.roomGrown(this);
        }
    }

    @Override
    public long window() {
        return sendWindow();
    }
}
