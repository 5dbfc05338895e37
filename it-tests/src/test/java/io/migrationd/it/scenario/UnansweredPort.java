package io.migrationd.it.scenario;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketTimeoutException;
import java.util.ArrayList;
import java.util.List;

/** A port whose queue is full: Linux drops further SYNs, so that who connects waits and is not refused. */
final class UnansweredPort implements AutoCloseable {
    private static final int CONNECT_MILLIS = 300;
    /** Linux queues one more than the backlog; this is far beyond. */
    private static final int ENOUGH = 16;

    private final ServerSocket listener;
    private final List<Socket> queued = new ArrayList<>();

    UnansweredPort() throws IOException {
        listener = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        for (int i = 0; i < ENOUGH; i++) {
            Socket socket = new Socket();
            queued.add(socket);
            try {
                socket.connect(
                        new InetSocketAddress(listener.getInetAddress(), listener.getLocalPort()), CONNECT_MILLIS);
            } catch (SocketTimeoutException full) {
                return;
            }
        }
        close();
        throw new IOException("the queue of a listening socket does not fill");
    }

    String uri() {
        return "tcp:127.0.0.1:" + listener.getLocalPort();
    }

    @Override
    public void close() throws IOException {
        for (Socket socket : queued) {
            socket.close();
        }
        listener.close();
    }
}
