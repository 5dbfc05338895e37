package io.migrationd.migrationd.relay.netty;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Scripted ends of migration connections. */
final class FakeQemu implements AutoCloseable {
    static final byte[] MAIN = HexFormat.of().parseHex("5145564d00000003");
    static final byte[] MULTIFD = HexFormat.of().parseHex("1122334400000001");
    static final byte[] SHUT = HexFormat.of().parseHex("0001000400000000");

    /** One connection, blocking; what came first is known. */
    static final class Connection implements AutoCloseable {
        final SocketChannel channel;
        /** What the first read brought. */
        volatile int firstRead = -1;

        Connection(SocketChannel channel) {
            this.channel = channel;
        }

        void write(byte[] bytes) throws IOException {
            ByteBuffer left = ByteBuffer.wrap(bytes);
            while (left.hasRemaining()) {
                channel.write(left);
            }
        }

        /** Exactly so many bytes. */
        byte[] read(int length) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(length);
            while (bytes.hasRemaining()) {
                int count = channel.read(bytes);
                if (count < 0) {
                    throw new IOException("end after %d of %d bytes".formatted(bytes.position(), length));
                }
                if (firstRead < 0) {
                    firstRead = count;
                }
            }
            return bytes.array();
        }

        /** Closes it, in the middle of a test. */
        void end() throws IOException {
            channel.close();
        }

        /** Whether nothing more comes. */
        boolean isEnded() throws IOException {
            try {
                return channel.read(ByteBuffer.allocate(1)) < 0;
            } catch (IOException e) {
                return true;
            }
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    final List<Connection> accepted = new CopyOnWriteArrayList<>();
    private final ServerSocketChannel server;
    private final Path path;

    private FakeQemu(ServerSocketChannel server, Path path) {
        this.server = server;
        this.path = path;
    }

    /** A destination: takes connections in the order in which they come. */
    static FakeQemu listen(Path path) throws IOException {
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path));
        FakeQemu qemu = new FakeQemu(server, path);
        Thread.ofPlatform().daemon().name("fake-qemu").start(qemu::accept);
        return qemu;
    }

    private void accept() {
        try {
            while (true) {
                accepted.add(new Connection(server.accept()));
            }
        } catch (IOException e) {
            // Closed.
        }
    }

    static Connection connect(Path path) throws IOException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        channel.connect(UnixDomainSocketAddress.of(path));
        return new Connection(channel);
    }

    @Override
    public void close() throws IOException {
        server.close();
        for (Connection connection : accepted) {
            connection.close();
        }
        Files.deleteIfExists(path);
    }
}
