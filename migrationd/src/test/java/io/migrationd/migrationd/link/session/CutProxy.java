package io.migrationd.migrationd.link.session;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;

/** A TCP path that breaks when it is told to, also at a byte. Its threads are virtual. */
public final class CutProxy implements AutoCloseable {
    /** How it breaks. */
    public enum Cut {
        RST,
        FIN,
        /** Nothing passes any more, and nobody is told. */
        SILENCE,
        /** The same from the dialer only. */
        SILENCE_FORWARD,
        /** The same to the dialer only. */
        SILENCE_REVERSE
    }

    private final ServerSocketChannel server;
    private final InetSocketAddress target;
    private final List<Pair> pairs = new CopyOnWriteArrayList<>();
    private final AtomicLong left = new AtomicLong(Long.MAX_VALUE);
    private final AtomicLong passed = new AtomicLong();
    private final AtomicInteger cuts = new AtomicInteger();
    private volatile Cut armed = Cut.RST;
    private volatile boolean refusing;

    private final class Pair {
        private final SocketChannel client;
        private final SocketChannel server;
        private volatile boolean forwardSilent;
        private volatile boolean reverseSilent;

        private Pair(SocketChannel client, SocketChannel server) {
            this.client = client;
            this.server = server;
        }

        private void start() {
            Thread.startVirtualThread(() -> pump(client, server, true));
            Thread.startVirtualThread(() -> pump(server, client, false));
        }

        private void pump(SocketChannel from, SocketChannel to, boolean forward) {
            ByteBuffer bytes = ByteBuffer.allocateDirect(256 * 1024);
            try {
                while (from.read(bytes.clear()) >= 0) {
                    bytes.flip();
                    int length = bytes.remaining();
                    long before = left.getAndAdd(-length);
                    if (before <= length && before > 0) {
                        // The last bytes before the cut pass.
                        bytes.limit((int) before);
                        send(bytes, to, forward);
                        left.set(Long.MAX_VALUE);
                        cut(armed);
                        bytes.limit(length);
                        send(bytes, to, forward);
                    } else {
                        send(bytes, to, forward);
                    }
                }
                close(false);
            } catch (IOException e) {
                close(true);
            }
        }

        private void send(ByteBuffer bytes, SocketChannel to, boolean forward) throws IOException {
            passed.addAndGet(bytes.remaining());
            while (bytes.hasRemaining() && !(forward ? forwardSilent : reverseSilent)) {
                to.write(bytes);
            }
        }

        private void close(boolean reset) {
            pairs.remove(this);
            for (SocketChannel channel : List.of(client, server)) {
                try {
                    if (reset && channel.isOpen()) {
                        channel.setOption(StandardSocketOptions.SO_LINGER, 0);
                    }
                    channel.close();
                } catch (IOException e) {
                    // It is closed.
                }
            }
        }
    }

    public CutProxy(InetSocketAddress target) throws IOException {
        this.target = target;
        server = ServerSocketChannel.open().bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        Thread.startVirtualThread(this::accept);
    }

    private void accept() {
        while (server.isOpen()) {
            try {
                SocketChannel client = server.accept();
                if (refusing) {
                    client.close();
                    continue;
                }
                SocketChannel to = SocketChannel.open(target);
                client.setOption(StandardSocketOptions.TCP_NODELAY, true);
                to.setOption(StandardSocketOptions.TCP_NODELAY, true);
                Pair pair = new Pair(client, to);
                pairs.add(pair);
                pair.start();
            } catch (IOException e) {
                // Closed, or the target is gone.
            }
        }
    }

    public InetSocketAddress address() throws IOException {
        return (InetSocketAddress) server.getLocalAddress();
    }

    public String uri() throws IOException {
        return "tcp:127.0.0.1:" + address().getPort();
    }

    /** Breaks all connections. */
    public void cut(Cut cut) {
        cuts.incrementAndGet();
        for (Pair pair : pairs) {
            switch (cut) {
                case RST -> pair.close(true);
                case FIN -> pair.close(false);
                case SILENCE -> {
                    pair.forwardSilent = true;
                    pair.reverseSilent = true;
                }
                case SILENCE_FORWARD -> pair.forwardSilent = true;
                case SILENCE_REVERSE -> pair.reverseSilent = true;
            }
        }
    }

    /** Breaks all connections when so many more bytes have passed. */
    public void cutAfter(long bytes, Cut cut) {
        armed = cut;
        left.set(bytes);
    }

    public void refuse(boolean newRefusing) {
        refusing = newRefusing;
    }

    public int cuts() {
        return cuts.get();
    }

    public int connections() {
        return pairs.size();
    }

    public long passed() {
        return passed.get();
    }

    @Override
    public void close() throws IOException {
        server.close();
        pairs.forEach(pair -> pair.close(true));
    }
}
