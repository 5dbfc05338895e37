package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.link.MigrationUri;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.StandardSocketOptions;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;

/** A source that is nothing but a socket: writes the bytes of the test and keeps what comes back. */
final class RawSource implements AutoCloseable {
    private final SocketChannel socket;

    RawSource(MigrationUri uri) throws IOException {
        socket = switch (uri) {
            case MigrationUri.Tcp tcp -> SocketChannel.open(tcp.resolve());
            case MigrationUri.Unix unix -> {
                SocketChannel opened = SocketChannel.open(StandardProtocolFamily.UNIX);
                opened.connect(UnixDomainSocketAddress.of(unix.path()));
                yield opened;
            }
        };
    }

    /** Sends all; a destination that has given up meanwhile is no failure of the test. */
    RawSource send(byte[] bytes) {
        try {
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                socket.write(rest);
            }
        } catch (IOException e) {
            // The destination's word on why it stopped to read is what the test looks at.
        }
        return this;
    }

    RawSource endOfInput() {
        try {
            socket.shutdownOutput();
        } catch (IOException e) {
            // As above.
        }
        return this;
    }

    /** Ends the connection without order, where the socket can. */
    RawSource reset() throws IOException {
        if (socket.supportedOptions().contains(StandardSocketOptions.SO_LINGER)) {
            socket.setOption(StandardSocketOptions.SO_LINGER, 0);
        }
        socket.close();
        return this;
    }

    /** Everything that comes back until the destination closes. */
    byte[] reply() {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        ByteBuffer piece = ByteBuffer.allocate(4096);
        try {
            while (socket.read(piece) >= 0) {
                all.write(piece.array(), 0, piece.position());
                piece.clear();
            }
        } catch (IOException e) {
            // A reset is an end as well.
        }
        return all.toByteArray();
    }

    @Override
    public void close() throws IOException {
        socket.close();
    }
}
