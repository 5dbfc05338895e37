package io.migrationd.migrationd.link;

import io.migrationd.postcopy.os.DirectSocket;
import io.migrationd.protocol.wire.ChunkSource;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.DuplexChannel;
import io.netty.channel.unix.UnixChannel;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A {@link MigrationChannel} over a Netty socket. The event loop never waits for a reader or a writer; after
 * {@link #serveDirectly} it has nothing to do with the connection any more, and Netty only owns the descriptor.
 */
// Closing and shutting down report through the handler methods; their futures say nothing more.
@SuppressWarnings("FutureReturnValueIgnored")
final class NettyChannel extends ChannelInboundHandlerAdapter implements MigrationChannel {
    private static final Logger log = LoggerFactory.getLogger(NettyChannel.class);
    /** Buffers on their way to the socket at most; with the socket's own buffer this is all that is in flight. */
    private static final int BUFFERS = 6;

    private static final long CLOSE_DEADLINE_MILLIS = 2_000;
    private static final int SMALL_BYTES = 16 * 1024;
    private static final long LOOK_MILLIS = 100;

    private final DuplexChannel channel;
    private final String peer;
    private final long stallTimeoutMillis;
    private final long roundTripMicros;
    private final ReceiveQueue received;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // Guarded by lock.
    private final ArrayDeque<SendBuffer> free = new ArrayDeque<>();
    private int mostBuffers = BUFFERS;
    private int buffersOut;
    private int inFlight;
    private long bytesAccepted;
    private long bytesSent;
    private @Nullable IOException failure;
    private boolean closed;
    /** Writers wait until the event loop has let go of the connection. */
    private boolean leaving;

    private @Nullable DirectSocket direct;

    /** One message after the other; never held together with {@link #lock} for longer than a few instructions. */
    private final ReentrantLock writing = new ReentrantLock();
    // Both guarded by writing; made when first needed.
    private @Nullable ByteBuffer smallBytes;
    private MemorySegment small = MemorySegment.NULL;

    NettyChannel(DuplexChannel channel, String peer, long stallTimeoutMillis) {
        this.channel = channel;
        this.peer = peer;
        this.stallTimeoutMillis = stallTimeoutMillis;
        this.roundTripMicros = LinkOptions.roundTripMicros(channel);
        // On the event loop, behind the channelRead that has just switched it off: the order decides who wins.
        this.received = new ReceiveQueue(() -> channel.eventLoop().execute(this::resumeReading));
    }

    private void resumeReading() {
        if (channel.isRegistered()) {
            channel.config().setAutoRead(true);
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        if (!received.offer((ByteBuf) message)) {
            channel.config().setAutoRead(false);
        }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event instanceof ChannelInputShutdownEvent) {
            received.end(null);
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        received.end(null);
        failSending(new IOException("the peer " + peer + " closed the connection"));
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        IOException broken = new IOException("the connection with " + peer + " broke", cause);
        received.end(broken);
        failSending(broken);
        channel.close();
    }

    @Override
    public ChunkSource input() {
        return received;
    }

    @Override
    public SendBuffer acquire() throws IOException {
        lock.lock();
        try {
            long left = TimeUnit.MILLISECONDS.toNanos(stallTimeoutMillis);
            while (true) {
                throwIfBroken();
                if (buffersOut < mostBuffers) {
                    buffersOut++;
                    SendBuffer buffer = free.poll();
                    if (buffer == null) {
                        return new SendBuffer();
                    }
                    buffer.limit(0);
                    return buffer;
                }
                if (left <= 0) {
                    throw new IOException(
                            "the peer %s has taken no data for %d ms".formatted(peer, stallTimeoutMillis));
                }
                left = changed.awaitNanos(left);
            }
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void send(SendBuffer buffer) throws IOException {
        int length = buffer.limit();
        if (length == 0) {
            giveBack(buffer);
            return;
        }
        DirectSocket socket = started(length);
        if (socket != null) {
            try {
                sendDirectly(socket, buffer.segment(), length, length);
            } finally {
                giveBack(buffer);
            }
            return;
        }
        channel.writeAndFlush(Unpooled.wrappedBuffer(buffer.filled())).addListener(future -> {
            finished(length, future.isSuccess() ? null : future.cause());
            giveBack(buffer);
        });
    }

    @Override
    public void writeSmall(byte[] message) throws IOException {
        DirectSocket socket = started(message.length);
        if (socket != null) {
            sendSmall(socket, message);
            return;
        }
        channel.writeAndFlush(Unpooled.wrappedBuffer(message))
                .addListener(future -> finished(message.length, future.isSuccess() ? null : future.cause()));
    }

    private void sendSmall(DirectSocket socket, byte[] message) throws IOException {
        writing.lock();
        try {
            ByteBuffer bytes = smallBytes;
            if (bytes == null) {
                bytes = ByteBuffer.allocateDirect(SMALL_BYTES);
                smallBytes = bytes;
                small = MemorySegment.ofBuffer(bytes);
            }
            for (int done = 0; done < message.length; ) {
                int piece = Math.min(SMALL_BYTES, message.length - done);
                bytes.put(0, message, done, piece);
                done += piece;
                sendDirectly(socket, small, piece, done == message.length ? message.length : 0);
            }
        } finally {
            writing.unlock();
        }
    }

    /**
     * Writes and counts.
     *
     * @param endOf the length of the message that these bytes end, or 0
     */
    private void sendDirectly(DirectSocket socket, MemorySegment bytes, int length, int endOf) throws IOException {
        writing.lock();
        try {
            socket.send(bytes, length, stallTimeoutMillis, this::taken);
        } catch (IOException e) {
            failSending(new IOException("writing to " + peer + " failed", e));
            throw new IOException("the connection with " + peer + " is gone", firstFailure(e));
        } finally {
            writing.unlock();
        }
        if (endOf > 0) {
            finished(0, null);
        }
    }

    private void taken(long count) {
        lock.lock();
        try {
            bytesSent += count;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void serveDirectly() throws IOException {
        if (!(channel instanceof UnixChannel unix) || !letGo()) {
            return;
        }
        ChannelFuture done = channel.deregister();
        if (!done.awaitUninterruptibly(stallTimeoutMillis) || !done.isSuccess()) {
            abort(new IOException("the event loop does not let go of the connection with " + peer, done.cause()));
        }
        ByteBuffer input = ByteBuffer.allocateDirect(LinkOptions.RECEIVE_BYTES);
        MemorySegment memory = MemorySegment.ofBuffer(input);
        DirectSocket socket;
        lock.lock();
        try {
            throwIfBroken();
            if (closed) {
                throw new IOException("the connection with " + peer + " was closed");
            }
            socket = new DirectSocket(unix.fd().intValue());
            direct = socket;
        } finally {
            leaving = false;
            changed.signalAll();
            lock.unlock();
        }
        received.readDirectly(() -> receive(socket, input, memory));
        channel.eventLoop().execute(() -> lookForEnd(socket));
    }

    /** Event loop: nobody else looks at the socket while its reader is busy. Until whoever wants to be told was. */
    private void lookForEnd(DirectSocket socket) {
        if (!received.isEndAwaited()) {
            return;
        }
        boolean ended;
        try {
            ended = socket.hasPeerEnded();
        } catch (IOException e) {
            log.atWarn().addKeyValue("peer", peer).setCause(e).log("socket can't be looked at");
            ended = true;
        }
        if (ended) {
            received.tellEnded();
        } else {
            channel.eventLoop().schedule(() -> lookForEnd(socket), LOOK_MILLIS, TimeUnit.MILLISECONDS);
        }
    }

    private @Nullable ByteBuffer receive(DirectSocket socket, ByteBuffer input, MemorySegment memory)
            throws IOException {
        try {
            int count = socket.receive(memory);
            return count <= 0 ? null : input.clear().limit(count);
        } catch (IOException e) {
            IOException broken = new IOException("the connection with " + peer + " broke", e);
            failSending(broken);
            throw broken;
        }
    }

    /**
     * Waits until the event loop has nothing of ours to write, and lets nobody give it more; false if it is too late.
     */
    private boolean letGo() throws IOException {
        lock.lock();
        try {
            long left = TimeUnit.MILLISECONDS.toNanos(stallTimeoutMillis);
            while (inFlight > 0 && failure == null && left > 0) {
                left = changed.awaitNanos(left);
            }
            if (inFlight > 0 || failure != null || closed || leaving || direct != null || received.isEnded()) {
                return false;
            }
            leaving = true;
            return true;
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void drain() throws IOException {
        lock.lock();
        try {
            long left = TimeUnit.MILLISECONDS.toNanos(stallTimeoutMillis);
            long last = bytesSent;
            while (inFlight > 0) {
                throwIfBroken();
                if (left <= 0) {
                    throw new IOException(
                            "the peer %s has taken no data for %d ms".formatted(peer, stallTimeoutMillis));
                }
                left = changed.awaitNanos(left);
                if (bytesSent != last) {
                    last = bytesSent;
                    left = TimeUnit.MILLISECONDS.toNanos(stallTimeoutMillis);
                }
            }
            throwIfBroken();
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            lock.unlock();
        }
    }

    @Override
    public long bytesSent() {
        lock.lock();
        try {
            return bytesSent;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public long bytesAccepted() {
        lock.lock();
        try {
            return bytesAccepted;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public long bytesReceived() {
        return received.receivedBytes();
    }

    @Override
    public long lastReceivedNanos() {
        return received.lastReceivedNanos();
    }

    @Override
    public void whenEnded(Runnable told) {
        received.whenEnded(told);
        lock.lock();
        try {
            DirectSocket socket = direct;
            if (socket != null) {
                channel.eventLoop().execute(() -> lookForEnd(socket));
            }
        } finally {
            lock.unlock();
        }
    }

    @Override
    public void shutdownOutput() {
        channel.eventLoop().execute(channel::shutdownOutput);
    }

    @Override
    public void failIfSilent(long millis) {
        channel.eventLoop()
                .schedule(
                        () -> {
                            if (received.receivedBytes() == 0) {
                                abort(new IOException(
                                        "the peer %s has sent nothing for %d ms".formatted(peer, millis)));
                            }
                        },
                        millis,
                        TimeUnit.MILLISECONDS);
    }

    @Override
    public void failIfNotEnded(long millis) {
        channel.eventLoop()
                .schedule(
                        () -> {
                            if (!received.isEnded()) {
                                abort(new IOException(
                                        "the peer %s has not hung up within %d ms".formatted(peer, millis)));
                            }
                        },
                        millis,
                        TimeUnit.MILLISECONDS);
    }

    @Override
    public void keepQueueShort(int most) {
        lock.lock();
        try {
            mostBuffers = Math.min(BUFFERS, most);
        } finally {
            lock.unlock();
        }
        channel.eventLoop().execute(() -> LinkOptions.keepQueueShort(channel));
    }

    @Override
    public void keepInputShort() {
        LinkOptions.keepInputShort(channel, roundTripMicros);
    }

    @Override
    public void deadPeerTimeout(long millis) {
        channel.eventLoop().execute(() -> LinkOptions.deadPeerTimeout(channel, millis));
    }

    @Override
    public void abort(IOException cause) {
        failSending(cause);
        received.fail(cause);
        // Bytes that the peer has not taken yet must not reach it after an abort: reset, do not drain.
        if (channel.isActive()) {
            LinkOptions.lingerZero(channel);
        }
        closeSocket();
    }

    /** The descriptor must not be closed, and become another file's, while somebody is about to use it. */
    private void closeSocket() {
        DirectSocket socket;
        lock.lock();
        try {
            socket = direct;
        } finally {
            lock.unlock();
        }
        if (socket == null) {
            channel.close();
        } else {
            socket.stop(channel::close);
        }
    }

    @Override
    public String peer() {
        return peer;
    }

    @Override
    public void close() {
        lock.lock();
        try {
            if (closed) {
                return;
            }
            closed = true;
            long left = TimeUnit.MILLISECONDS.toNanos(CLOSE_DEADLINE_MILLIS);
            while (inFlight > 0 && failure == null && left > 0) {
                left = changed.awaitNanos(left);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            lock.unlock();
        }
        closeSocket();
        channel.closeFuture().awaitUninterruptibly(CLOSE_DEADLINE_MILLIS);
        failSending(new IOException("the connection with " + peer + " was closed"));
        received.end(null);
    }

    /** The reading thread is gone: gives its memory back. */
    void releaseInput() {
        received.close();
    }

    /** Counts a message that is about to be written; the socket to write it to, or none for the event loop. */
    private @Nullable DirectSocket started(int length) throws IOException {
        lock.lock();
        try {
            while (leaving && failure == null) {
                changed.await();
            }
            throwIfBroken();
            inFlight++;
            bytesAccepted += length;
            return direct;
        } catch (InterruptedException e) {
            throw interrupted(e);
        } finally {
            lock.unlock();
        }
    }

    private void finished(int length, @Nullable Throwable cause) {
        lock.lock();
        try {
            inFlight--;
            if (cause == null) {
                bytesSent += length;
            } else if (failure == null) {
                failure = new IOException("writing to " + peer + " failed", cause);
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void giveBack(SendBuffer buffer) {
        lock.lock();
        try {
            free.add(buffer);
            buffersOut--;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void failSending(IOException cause) {
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Who aborts a connection wakes its writer: the reason is the abort's. */
    private IOException firstFailure(IOException seen) {
        lock.lock();
        try {
            return failure == null ? seen : failure;
        } finally {
            lock.unlock();
        }
    }

    private void throwIfBroken() throws IOException {
        if (failure != null) {
            throw new IOException("the connection with " + peer + " is gone", failure);
        }
    }

    private static IOException interrupted(InterruptedException cause) {
        Thread.currentThread().interrupt();
        InterruptedIOException e = new InterruptedIOException("interrupted while writing the stream");
        e.initCause(cause);
        return e;
    }
}
