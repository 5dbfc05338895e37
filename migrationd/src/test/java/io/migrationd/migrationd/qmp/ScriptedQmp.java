package io.migrationd.migrationd.qmp;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;

/** The server's end of one QMP connection, played by the test: it reads and sends what the test says. */
final class ScriptedQmp implements AutoCloseable {
    static final String GREETING = """
            {"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, "capabilities": ["oob"]}}""";

    private final ServerSocketChannel server;
    private final SocketChannel channel;
    private final BufferedReader in;
    private final QmpMonitor monitor;

    private ScriptedQmp(ServerSocketChannel server, SocketChannel channel, CompletableFuture<QmpMonitor> monitor)
            throws Exception {
        this.server = server;
        this.channel = channel;
        this.in = new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), StandardCharsets.UTF_8));
        send(GREETING);
        read();
        send("{\"return\": {}, \"id\": 1}");
        this.monitor = monitor.get(10, TimeUnit.SECONDS);
    }

    /** Both ends, negotiated. */
    static ScriptedQmp connected(Path directory, QmpMonitor.Listener listener) throws Exception {
        Path socket = directory.resolve("qmp");
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        CompletableFuture<QmpMonitor> monitor = CompletableFuture.supplyAsync(() -> {
            try {
                return QmpMonitor.connect("QEMU", socket, Duration.ofSeconds(10), listener);
            } catch (QmpConnectionException e) {
                throw new IllegalStateException(e);
            }
        });
        return new ScriptedQmp(server, server.accept(), monitor);
    }

    QmpMonitor monitor() {
        return monitor;
    }

    /** The next line that the client sent. */
    String read() throws IOException {
        return in.readLine();
    }

    void send(String line) throws IOException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(line + "\r\n");
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    void hangUp() throws IOException {
        channel.close();
    }

    @Override
    public void close() throws IOException {
        monitor.close();
        channel.close();
        server.close();
    }
}
