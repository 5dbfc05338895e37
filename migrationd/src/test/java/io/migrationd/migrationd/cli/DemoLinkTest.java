package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Link of the demo")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class DemoLinkTest {
    private static final long FAST = 1L << 30;

    private ServerSocket target;

    @BeforeEach
    void listen() throws IOException {
        target = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void close() throws IOException {
        target.close();
    }

    @Test
    void carriesBothWaysAndTheEndOfEach() throws Exception {
        try (DemoLink link = open(FAST);
                Socket client = connect(link);
                Socket server = target.accept()) {
            client.getOutputStream().write(bytes("there"));
            client.shutdownOutput();
            assertThat(server.getInputStream().readAllBytes()).isEqualTo(bytes("there"));
            server.getOutputStream().write(bytes("and back"));
            server.shutdownOutput();
            assertThat(client.getInputStream().readAllBytes()).isEqualTo(bytes("and back"));
        }
    }

    @Test
    void aCutResetsWhatIsOpenAndWhatComesUntilItIsRestored() throws Exception {
        try (DemoLink link = open(FAST);
                Socket client = connect(link);
                Socket server = target.accept()) {
            link.cut();
            assertThatThrownBy(() -> client.getInputStream().read()).isInstanceOf(IOException.class);
            assertThatThrownBy(() -> server.getInputStream().read()).isInstanceOf(IOException.class);
            assertIsReset(link);
            assertIsReset(link);
            link.restore();
            try (Socket again = connect(link);
                    Socket accepted = target.accept()) {
                again.getOutputStream().write(7);
                assertThat(accepted.getInputStream().read()).isEqualTo(7);
            }
        }
    }

    @Test
    void aTargetThatIsGoneIsAReset() throws Exception {
        try (DemoLink link = open(FAST)) {
            target.close();
            assertIsReset(link);
        }
    }

    @Test
    void itsSpeedIsBounded() throws Exception {
        byte[] data = new byte[200_000];
        try (DemoLink link = open(1_000_000);
                Socket client = connect(link);
                Socket server = target.accept()) {
            long start = System.nanoTime();
            client.getOutputStream().write(data);
            client.shutdownOutput();
            assertThat(server.getInputStream().readAllBytes()).hasSize(data.length);
            // The last chunk does not wait for its own length.
            assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(180));
        }
    }

    private DemoLink open(long bytesPerSecond) throws DemoException {
        return DemoLink.open("tcp:127.0.0.1:" + target.getLocalPort(), bytesPerSecond);
    }

    private static Socket connect(DemoLink link) throws IOException {
        String uri = link.uri();
        return new Socket(InetAddress.getLoopbackAddress(), Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)));
    }

    private static void assertIsReset(DemoLink link) {
        assertThatThrownBy(() -> {
                    try (Socket client = connect(link)) {
                        client.getInputStream().read();
                    }
                })
                .isInstanceOf(IOException.class);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
