package io.migrationd.it.fault;

import java.io.Closeable;
import java.io.IOException;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;

/** Two sockets and the two directions between them. Only the proxy's thread touches it. */
final class ProxiedConnection implements Closeable {
    private final SocketChannel client;
    private final SocketChannel target;
    private final SelectionKey clientKey;
    private final SelectionKey targetKey;
    private final HalfLink forward;
    private final HalfLink reverse;

    ProxiedConnection(SocketChannel client, SocketChannel target, HalfLink forward, HalfLink reverse, Selector selector)
            throws IOException {
        this.client = client;
        this.target = target;
        this.forward = forward;
        this.reverse = reverse;
        clientKey = register(client, selector);
        targetKey = register(target, selector);
    }

    private SelectionKey register(SocketChannel channel, Selector selector) throws IOException {
        if (channel.supportedOptions().contains(StandardSocketOptions.TCP_NODELAY)) {
            channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
        }
        channel.configureBlocking(false);
        return channel.register(selector, 0, this);
    }

    boolean isOpen() {
        return client.isOpen();
    }

    /** Reads from whichever end the selector found ready. An error of one end is passed on to the other as a reset. */
    void read(ByteBuffer scratch, long nowNanos) throws IOException {
        try {
            if (isOpen() && forward.wantsToRead() && clientKey.isReadable()) {
                forward.read(scratch, nowNanos);
            }
            if (isOpen() && reverse.wantsToRead() && targetKey.isReadable()) {
                reverse.read(scratch, nowNanos);
            }
        } catch (IOException e) {
            reset();
        }
    }

    /** Writes what is due; returns how long to wait at most before the next call. */
    long write(long nowNanos) throws IOException {
        if (!isOpen()) {
            return HalfLink.IDLE;
        }
        long wait;
        try {
            wait = Math.min(forward.write(nowNanos), reverse.write(nowNanos));
        } catch (IOException e) {
            reset();
            return HalfLink.IDLE;
        }
        if (forward.isDone() && reverse.isDone()) {
            close();
            return HalfLink.IDLE;
        }
        clientKey.interestOps(ops(forward.wantsToRead(), reverse.wantsToWrite()));
        targetKey.interestOps(ops(reverse.wantsToRead(), forward.wantsToWrite()));
        return wait;
    }

    /** The receiving end of each of {@code directions} sees the end of input. */
    void finish(Direction... directions) throws IOException {
        try {
            for (Direction direction : directions) {
                (direction == Direction.FORWARD ? forward : reverse).endOutput();
            }
        } catch (IOException e) {
            reset();
        }
    }

    /** Both ends get RST once the selector has let go of the sockets. */
    void reset() throws IOException {
        resetOnClose(client);
        resetOnClose(target);
        close();
    }

    /** Makes {@code close} send RST where there is one. */
    static void resetOnClose(SocketChannel channel) throws IOException {
        if (channel.isOpen() && channel.supportedOptions().contains(StandardSocketOptions.SO_LINGER)) {
            channel.setOption(StandardSocketOptions.SO_LINGER, 0);
        }
    }

    @Override
    public void close() throws IOException {
        try (forward;
                reverse;
                client;
                target) {
            clientKey.cancel();
            targetKey.cancel();
        }
    }

    private static int ops(boolean read, boolean write) {
        return (read ? SelectionKey.OP_READ : 0) | (write ? SelectionKey.OP_WRITE : 0);
    }
}
