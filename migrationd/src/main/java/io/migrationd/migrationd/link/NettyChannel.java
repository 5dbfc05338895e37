package io.migrationd.migrationd.link;

import io.migrationd.protocol.wire.ChunkSource;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.socket.ChannelInputShutdownEvent;
import io.netty.channel.socket.DuplexChannel;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** A {@link MigrationChannel} over a Netty socket. The event loop never waits for a reader or a writer. */
// Closing and shutting down report through the handler methods; their futures say nothing more.
@SuppressWarnings("FutureReturnValueIgnored")
final class NettyChannel extends ChannelInboundHandlerAdapter implements MigrationChannel {
    /** Buffers on their way to the socket at most; with the socket's own buffer this is all that is in flight. */
    private static final int BUFFERS = 6;

    private static final long CLOSE_DEADLINE_MILLIS = 2_000;

    private final DuplexChannel channel;
    private final String peer;
    private final long stallTimeoutMillis;
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

    NettyChannel(DuplexChannel channel, String peer, long stallTimeoutMillis) {
        this.channel = channel;
        this.peer = peer;
        this.stallTimeoutMillis = stallTimeoutMillis;
        // On the event loop, behind the channelRead that has just switched it off: the order decides who wins.
        this.received = new ReceiveQueue(
                () -> channel.eventLoop().execute(() -> channel.config().setAutoRead(true)));
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
        started(length);
        channel.writeAndFlush(Unpooled.wrappedBuffer(buffer.filled())).addListener(future -> {
            finished(length, future.isSuccess() ? null : future.cause());
            giveBack(buffer);
        });
    }

    @Override
    public void writeSmall(byte[] message) throws IOException {
        started(message.length);
        channel.writeAndFlush(Unpooled.wrappedBuffer(message))
                .addListener(future -> finished(message.length, future.isSuccess() ? null : future.cause()));
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
        channel.close();
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
        ChannelFuture closing = channel.close();
        closing.awaitUninterruptibly(CLOSE_DEADLINE_MILLIS);
        failSending(new IOException("the connection with " + peer + " was closed"));
        received.end(null);
    }

    /** The reading thread is gone: gives its memory back. */
    void releaseInput() {
        received.close();
    }

    private void started(int length) throws IOException {
        lock.lock();
        try {
            throwIfBroken();
            inFlight++;
            bytesAccepted += length;
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
