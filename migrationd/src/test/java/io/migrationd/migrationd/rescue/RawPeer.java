package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.HexFormat;

/** The other end of a rescue, nothing but a socket that reads and writes the bytes of the test. */
final class RawPeer implements AutoCloseable {
    private final SocketChannel socket;

    private RawPeer(SocketChannel socket) {
        this.socket = socket;
    }

    static RawPeer connect(MigrationUri uri) throws IOException {
        SocketChannel opened = SocketChannel.open(StandardProtocolFamily.UNIX);
        opened.connect(UnixDomainSocketAddress.of(path(uri)));
        return new RawPeer(opened);
    }

    private static String path(MigrationUri uri) {
        return ((MigrationUri.Unix) uri).path();
    }

    /** Listens, for as many connections as a test wants. */
    record Server(ServerSocketChannel channel) implements AutoCloseable {
        static Server at(MigrationUri uri) throws IOException {
            ServerSocketChannel opened = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            opened.bind(UnixDomainSocketAddress.of(path(uri)));
            return new Server(opened);
        }

        RawPeer accept() throws IOException {
            return new RawPeer(channel.accept());
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    RawPeer send(String text) throws IOException {
        return send(bytes(text));
    }

    RawPeer send(byte[] bytes) throws IOException {
        return send(bytes, bytes.length);
    }

    RawPeer send(byte[] bytes, int count) throws IOException {
        ByteBuffer rest = ByteBuffer.wrap(bytes, 0, count);
        while (rest.hasRemaining()) {
            socket.write(rest);
        }
        return this;
    }

    /** Reads exactly these bytes. */
    RawPeer expect(String text) throws IOException {
        return expect(bytes(text));
    }

    RawPeer expect(byte[] wanted) throws IOException {
        assertThat(HexFormat.of().formatHex(read(wanted.length)))
                .isEqualTo(HexFormat.of().formatHex(wanted));
        return this;
    }

    /** Reads that many bytes, fewer if the connection ends. */
    byte[] read(int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count);
        try {
            while (bytes.hasRemaining() && socket.read(bytes) >= 0) {
                // Until all are there.
            }
        } catch (IOException e) {
            // A reset is an end as well.
        }
        return java.util.Arrays.copyOf(bytes.array(), bytes.position());
    }

    /** What comes, for a codec. */
    StreamReader reader() {
        ByteBuffer chunk = ByteBuffer.allocate(1 << 16);
        return new StreamReader(() -> {
            chunk.clear();
            int count = socket.read(chunk);
            return count < 0 ? null : chunk.flip().duplicate();
        });
    }

    /** Whether the other side ends the connection without a further byte. */
    RawPeer expectEnd() throws IOException {
        assertThat(read(1)).isEmpty();
        return this;
    }

    /** Before the test's end. */
    void hangUp() throws IOException {
        socket.close();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
