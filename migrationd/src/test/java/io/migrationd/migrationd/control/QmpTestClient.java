package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Bytes in, lines out, over a real socket. Reads block; the tests have a timeout. */
final class QmpTestClient implements AutoCloseable {
    private final SocketChannel channel;
    private final InputStream in;

    private QmpTestClient(SocketChannel channel) {
        this.channel = channel;
        this.in = new BufferedInputStream(Channels.newInputStream(channel));
    }

    /** Before the greeting is read. */
    static QmpTestClient connect(Path socket) throws IOException {
        return new QmpTestClient(SocketChannel.open(UnixDomainSocketAddress.of(socket)));
    }

    /** Behind the negotiation. */
    static QmpTestClient negotiated(Path socket) throws IOException {
        return negotiated(socket, "{\"execute\": \"qmp_capabilities\"}");
    }

    static QmpTestClient negotiated(Path socket, String negotiation) throws IOException {
        QmpTestClient client = connect(socket);
        assertThat(client.readLine()).startsWith("{\"QMP\": ");
        assertThat(client.ask(negotiation)).isEqualTo("{\"return\": {}}");
        return client;
    }

    void send(String text) throws IOException {
        sendBytes(text.getBytes(StandardCharsets.UTF_8));
    }

    void sendBytes(byte[] bytes) throws IOException {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        while (buffer.hasRemaining()) {
            channel.write(buffer);
        }
    }

    /** One command, one line. */
    String ask(String text) throws IOException {
        send(text);
        return readLine();
    }

    /** The next line, which must end in CR LF and be ASCII; {@code "<closed>"} at the end. */
    String readLine() throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int b = in.read(); b >= 0; b = in.read()) {
            assertThat(b).as("ASCII only").isLessThan(0x80);
            line.write(b);
            if (b == '\n') {
                String text = line.toString(StandardCharsets.US_ASCII);
                assertThat(text).endsWith("\r\n");
                return text.substring(0, text.length() - 2);
            }
        }
        assertThat(line.size()).as("bytes behind the last line").isZero();
        return "<closed>";
    }

    void endOutput() throws IOException {
        channel.shutdownOutput();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
