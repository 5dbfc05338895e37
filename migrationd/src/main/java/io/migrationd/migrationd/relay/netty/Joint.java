package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.session.ChannelKind;
import io.migrationd.migrationd.link.session.ChannelReader;
import io.migrationd.migrationd.link.session.PeerChannel;
import io.migrationd.migrationd.relay.RelayStatus;
import io.migrationd.migrationd.relay.StreamTap;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.ChannelOption;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.ChannelInputShutdownReadComplete;
import java.util.ArrayDeque;
import org.jspecify.annotations.Nullable;

/** A QEMU's socket and a channel of the session, joined: what one gives the other gets. Event loop. */
final class Joint extends ChannelInboundHandlerAdapter implements ChannelReader {
    /** The kernel doubles it. Delivered is what this buffer has taken. */
    private static final int SEND_BUFFER_BYTES = 128 * 1024;

    /** Reading goes on when the window has so much room again: one read, or a quarter of a small window. */
    private static final int RESUME_PART = 4;

    /** What happens to a joint and is not passing of bytes. */
    interface Owner {
        /** Bytes came from QEMU before there is a channel. */
        void early(Joint joint);

        /** Bytes came from the session before there is a socket. */
        void waiting(Joint joint);

        /** QEMU sends no more on this connection: it has closed it, or it broke. */
        void inputEnded(Joint joint, String how);

        /** QEMU takes no more on this connection. */
        void outputBroken(Joint joint, String how);

        /** One of the two directions is through, or both. */
        void progressed(Joint joint);

        /** The other end has broken the channel. */
        void reset(Joint joint, String reason);
    }

    private final Owner owner;
    private final ArrayDeque<ByteBuf> early = new ArrayDeque<>();
    private final ArrayDeque<ByteBuf> waiting = new ArrayDeque<>();
    private StreamTap readTap = StreamTap.NONE;
    private StreamTap writeTap = StreamTap.NONE;
    private @Nullable ShutScanner readScanner;
    private @Nullable ShutScanner writeScanner;
    private @Nullable Channel socket;
    private volatile @Nullable PeerChannel peer;
    private int earlyBytes;
    private int waitingBytes;
    private boolean inputEnded;
    private boolean outputBroken;
    private boolean discarding;
    private boolean peerEnded;
    private boolean finished;
    private boolean closed;
    private boolean paused;
    /** Bytes for QEMU go to the socket, and not to those that wait for it. */
    private boolean ready;

    Joint(Owner owner) {
        this.owner = owner;
    }

    /** Options of QEMU's socket. */
    void configure(Channel channel) {
        socket = channel;
        channel.config().setAllocator(PooledByteBufAllocator.DEFAULT);
        channel.config().setRecvByteBufAllocator(new RoomAllocator(this::readRoom));
        channel.config().setOption(ChannelOption.ALLOW_HALF_CLOSURE, true);
        // A write that fails must not close the socket: SHUT may wait there to be read.
        channel.config().setAutoClose(false);
        channel.config().setOption(ChannelOption.SO_SNDBUF, SEND_BUFFER_BYTES);
        channel.pipeline().addLast(this);
    }

    void taps(StreamTap read, StreamTap write) {
        readTap = read;
        writeTap = write;
    }

    /** The return path is what is read here (at the target), or what is written here (at the source). */
    void scanRead(ShutScanner scanner) {
        readScanner = scanner;
    }

    void scanWrite(ShutScanner scanner) {
        writeScanner = scanner;
    }

    /** At the source: there is a channel now. */
    void join(PeerChannel channel) {
        peer = channel;
        ready = true;
        for (ByteBuf bytes : early) {
            look(readTap, readScanner, bytes);
            channel.write(bytes);
        }
        early.clear();
        channel.flush();
        updateReading();
        if (inputEnded) {
            owner.inputEnded(this, "closed");
        }
    }

    /** At the target: the channel is there first. */
    void wait(PeerChannel channel) {
        peer = channel;
    }

    /** At the target: QEMU has taken the connection. */
    void connected() {
        Channel to = socket();
        ready = true;
        while (!waiting.isEmpty()) {
            write(to, waiting.remove());
        }
        to.flush();
        updateReading();
    }

    /** Makes one buffer of the first ones, until it has {@code least} bytes. */
    void gatherFirst(int least) {
        ByteBuf first = waiting.peek();
        if (first == null || first.readableBytes() >= least) {
            return;
        }
        ByteBuf gathered = PooledByteBufAllocator.DEFAULT.directBuffer();
        while (gathered.readableBytes() < least && !waiting.isEmpty()) {
            ByteBuf next = waiting.remove();
            gathered.writeBytes(next);
            next.release();
        }
        waiting.addFirst(gathered);
    }

    private Channel socket() {
        if (socket == null) {
            throw new IllegalStateException("no socket");
        }
        return socket;
    }

    int waitingBytes() {
        return waitingBytes;
    }

    int earlyBytes() {
        return earlyBytes;
    }

    /** A byte that came before there was a channel. */
    int earlyByte(int index) {
        int at = index;
        for (ByteBuf bytes : early) {
            if (at < bytes.readableBytes()) {
                return bytes.getUnsignedByte(bytes.readerIndex() + at);
            }
            at -= bytes.readableBytes();
        }
        throw new IndexOutOfBoundsException(index);
    }

    // From QEMU.

    private long readRoom() {
        PeerChannel to = peer;
        return to == null ? RoomAllocator.MOST_BYTES - earlyBytes : to.room();
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf bytes = compact(context, (ByteBuf) message);
        PeerChannel to = peer;
        if (closed) {
            bytes.release();
        } else if (to == null) {
            earlyBytes += bytes.readableBytes();
            early.add(bytes);
        } else {
            look(readTap, readScanner, bytes);
            to.write(bytes);
        }
    }

    /** A buffer is kept until its bytes are delivered: mostly empty ones would hold far more than the window. */
    private static ByteBuf compact(ChannelHandlerContext context, ByteBuf bytes) {
        int length = bytes.readableBytes();
        if (length >= bytes.capacity() / 4) {
            return bytes;
        }
        ByteBuf copy = context.alloc().directBuffer(length).writeBytes(bytes);
        bytes.release();
        return copy;
    }

    private static void look(StreamTap tap, @Nullable ShutScanner scanner, ByteBuf bytes) {
        if (tap.equals(StreamTap.NONE) && scanner == null) {
            return;
        }
        var view = bytes.nioBuffer().asReadOnlyBuffer();
        if (scanner != null) {
            scanner.scan(view);
        }
        tap.accept(view);
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        PeerChannel to = peer;
        if (to != null) {
            to.flush();
        } else if (!closed) {
            owner.early(this);
        }
        updateReading();
    }

    private void updateReading() {
        if (closed || socket == null) {
            return;
        }
        PeerChannel to = peer;
        long room = readRoom();
        if (outputBroken) {
            // Only what the kernel holds is left, and SHUT may be in it.
            paused = false;
        } else if (paused) {
            long enough = to == null ? 1 : Math.min(RoomAllocator.MOST_BYTES, to.window() / RESUME_PART);
            paused = room < enough;
        } else {
            paused = room <= 0;
        }
        socket.config().setAutoRead(!paused);
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event instanceof ChannelInputShutdownEvent || event instanceof ChannelInputShutdownReadComplete) {
            endInput("closed");
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        endInput("closed");
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        endInput(String.valueOf(cause.getMessage()));
    }

    private void endInput(String how) {
        if (!inputEnded && !closed) {
            inputEnded = true;
            owner.inputEnded(this, how);
        }
    }

    boolean hasInputEnded() {
        return inputEnded;
    }

    /** Nothing more is read; the other end hears of it behind the last byte. */
    void endChannel() {
        PeerChannel to = peer;
        if (to != null) {
            to.end();
        }
    }

    // From the session.

    @Override
    public void received(ByteBuf bytes) {
        look(writeTap, writeScanner, bytes);
        Channel to = socket;
        if (discarding || closed) {
            discard(bytes);
        } else if (to == null || !ready) {
            waitingBytes += bytes.readableBytes();
            waiting.add(bytes);
        } else {
            write(to, bytes);
        }
    }

    private void discard(ByteBuf bytes) {
        int length = bytes.readableBytes();
        bytes.release();
        delivered(length);
    }

    private void delivered(int length) {
        PeerChannel from = peer;
        if (from != null) {
            from.delivered(length);
        }
    }

    private void write(Channel to, ByteBuf bytes) {
        int length = bytes.readableBytes();
        to.write(bytes).addListener(done -> {
            if (done.isSuccess()) {
                delivered(length);
                if (peerEnded) {
                    owner.progressed(this);
                }
            } else if (discarding) {
                delivered(length);
            } else if (!closed) {
                lost += length;
                breakOutput(String.valueOf(done.cause().getMessage()));
            }
        });
    }

    /** Bytes that QEMU did not take and that have not been given up yet. */
    private long lost;

    private void breakOutput(String how) {
        if (!outputBroken) {
            outputBroken = true;
            updateReading();
            owner.outputBroken(this, how);
        }
    }

    /** QEMU has closed in good order: what it has not taken is not needed. */
    void discard() {
        if (!discarding) {
            discarding = true;
            PeerChannel from = peer;
            if (from != null) {
                from.delivered(lost);
                lost = 0;
            }
            while (!waiting.isEmpty()) {
                discard(waiting.remove());
            }
        }
    }

    @Override
    public void receivedAll() {
        if (ready) {
            socket().flush();
        } else if (!closed) {
            owner.waiting(this);
        }
    }

    @Override
    public void roomGrown() {
        updateReading();
    }

    @Override
    public void ended() {
        peerEnded = true;
        owner.progressed(this);
    }

    @Override
    public void finished() {
        finished = true;
        owner.progressed(this);
    }

    @Override
    public void reset(String reason) {
        owner.reset(this, reason);
    }

    /** The other end sends no more, and QEMU has taken all of it. */
    boolean isIncomingDone() {
        PeerChannel from = peer;
        return peerEnded && from != null && from.deliveredBytes() == from.receivedBytes();
    }

    /** QEMU sends no more, and the other QEMU has taken all of it. */
    boolean isOutgoingDone() {
        return finished;
    }

    /** Breaks the channel at both ends, and the socket here. */
    void breakOff(String reason) {
        PeerChannel to = peer;
        if (to != null && !closed) {
            to.reset(reason);
        }
        close();
    }

    /** Closes the socket. What still comes is dropped. */
    void close() {
        if (closed) {
            return;
        }
        closed = true;
        early.forEach(ByteBuf::release);
        early.clear();
        waiting.forEach(ByteBuf::release);
        waiting.clear();
        if (socket != null) {
            var _ = socket.close();
        }
    }

    boolean isClosed() {
        return closed;
    }

    // Any thread.

    @Nullable
    PeerChannel peer() {
        return peer;
    }

    RelayStatus.@Nullable ChannelStatus status() {
        PeerChannel of = peer;
        if (of == null) {
            return null;
        }
        ChannelKind kind = of.spec().kind();
        // The delivered counts first: what is read later is never less.
        long deliveredThere = of.deliveredThereBytes();
        long delivered = of.deliveredBytes();
        return new RelayStatus.ChannelStatus(
                kind, of.spec().index(), of.writtenBytes(), deliveredThere, of.receivedBytes(), delivered);
    }
}
