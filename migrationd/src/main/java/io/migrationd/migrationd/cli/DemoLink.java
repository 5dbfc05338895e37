package io.migrationd.migrationd.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.LockSupport;

/**
 * A network between two daemons of one machine, which can be slow and can be cut: connections are reset then, and new
 * ones as soon as they come. A virtual thread {@code demo-link-accept}, and two per connection that end with it.
 */
final class DemoLink implements AutoCloseable {
    private static final int CHUNK_BYTES = 16 << 10;
    /** So that what was sent is not far ahead of what has arrived. */
    private static final int BUFFER_BYTES = 128 << 10;

    private final ServerSocket server;
    private final InetSocketAddress target;
    private final double nanosPerByte;
    private final Set<Socket> open = ConcurrentHashMap.newKeySet();
    // Guarded by this.
    private boolean cut;
    private boolean closed;
    private long freeAtNanos = System.nanoTime();

    private DemoLink(ServerSocket server, InetSocketAddress target, long bytesPerSecond) {
        this.server = server;
        this.target = target;
        this.nanosPerByte = 1e9 / bytesPerSecond;
    }

    /**
     * Opens a port of its own that leads to {@code targetUri}.
     *
     * @param targetUri tcp:ADDRESS:PORT
     * @param bytesPerSecond of all connections together, towards the target
     */
    static DemoLink open(String targetUri, long bytesPerSecond) throws DemoException {
        int colon = targetUri.lastIndexOf(':');
        try {
            InetAddress loopback = InetAddress.getLoopbackAddress();
            InetSocketAddress target =
                    new InetSocketAddress(loopback, Integer.parseInt(targetUri.substring(colon + 1)));
            ServerSocket server = new ServerSocket();
            server.setReceiveBufferSize(BUFFER_BYTES);
            server.bind(new InetSocketAddress(loopback, 0));
            DemoLink link = new DemoLink(server, target, bytesPerSecond);
            Thread.ofVirtual().name("demo-link-accept").start(link::acceptAll);
            return link;
        } catch (IOException e) {
            throw new DemoException("cannot open a link to " + targetUri, e);
        }
    }

    /** Where it is entered. */
    String uri() {
        return "tcp:127.0.0.1:" + server.getLocalPort();
    }

    /** Breaks all connections, and those to come. */
    void cut() {
        synchronized (this) {
            cut = true;
        }
        open.forEach(this::reset);
    }

    /** Lets connections through again. */
    synchronized void restore() {
        cut = false;
    }

    @Override
    public void close() {
        synchronized (this) {
            closed = true;
        }
        try {
            server.close();
        } catch (IOException e) {
            throw new AssertionError("a listening socket does not close", e);
        }
        open.forEach(this::reset);
    }

    private void acceptAll() {
        while (true) {
            try {
                connect(server.accept());
            } catch (IOException _) {
                // The end of the demo, or a client that was gone before it was accepted.
                if (server.isClosed()) {
                    return;
                }
            }
        }
    }

    private void connect(Socket client) {
        Socket onward = new Socket();
        open.add(client);
        open.add(onward);
        try {
            onward.setSendBufferSize(BUFFER_BYTES);
            onward.setTcpNoDelay(true);
            client.setTcpNoDelay(true);
            if (passes()) {
                onward.connect(target);
                Thread.ofVirtual().start(() -> pump(client, onward, true));
                Thread.ofVirtual().start(() -> pump(onward, client, false));
            }
        } catch (IOException _) {
            // Nobody is there: the same as a cut.
            reset(client);
            reset(onward);
        }
        // Also what was connected while the cut came.
        if (!passes()) {
            reset(client);
            reset(onward);
        }
    }

    private synchronized boolean passes() {
        return !cut && !closed;
    }

    private void pump(Socket from, Socket to, boolean paced) {
        byte[] chunk = new byte[CHUNK_BYTES];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int length = in.read(chunk); length >= 0; length = in.read(chunk)) {
                if (paced) {
                    awaitTurn(length);
                }
                out.write(chunk, 0, length);
            }
            to.shutdownOutput();
        } catch (IOException _) {
            // One side is gone, and so the other.
            reset(from);
            reset(to);
        }
    }

    private void awaitTurn(int bytes) {
        long turn;
        synchronized (this) {
            turn = Math.max(freeAtNanos, System.nanoTime());
            freeAtNanos = turn + Math.round(bytes * nanosPerByte);
        }
        for (long left = turn - System.nanoTime(); left > 0; left = turn - System.nanoTime()) {
            LockSupport.parkNanos(left);
        }
    }

    /** Ends a connection without the manners of an end of data. */
    private void reset(Socket socket) {
        open.remove(socket);
        try {
            socket.setSoLinger(true, 0);
        } catch (IOException _) {
            // It is closed already.
        }
        try {
            socket.close();
        } catch (IOException e) {
            throw new AssertionError("a socket does not close", e);
        }
    }
}
