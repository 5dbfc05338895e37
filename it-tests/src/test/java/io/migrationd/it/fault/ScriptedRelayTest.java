package io.migrationd.it.fault;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Conduct.Connecting;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HexFormat;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Scripted relay")
@Timeout(20)
class ScriptedRelayTest {
    private static final Duration DEADLINE = Duration.ofSeconds(10);
    private static final String MAIN = "5145564d";
    private static final String MULTIFD = "11223344";
    private static final String PONG = "0002000400000001";
    private static final String SHUT = "0001000400000000";

    @TempDir
    private Path folder;

    private ServerSocketChannel destination;

    @BeforeEach
    void listen() throws IOException {
        destination = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        destination.bind(UnixDomainSocketAddress.of(folder.resolve("b")));
    }

    @AfterEach
    void stopListening() throws IOException {
        destination.close();
    }

    @Test
    void destinationHearsOfTheMainConnectionWithItsFirstBytes() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good());
                SocketChannel main = connect(relay)) {
            write(main, "5145");
            assertThat(relay.connectedCount()).isZero();
            write(main, "564d");
            try (SocketChannel accepted = destination.accept()) {
                assertThat(read(accepted, 4)).isEqualTo(MAIN);
            }
        }
    }

    @Test
    void silentConnectionIsMadeAtOnceBehindTheMainOne() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good());
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel first = destination.accept();
                    SocketChannel silent = connect(relay);
                    SocketChannel second = destination.accept()) {
                assertThat(read(first, 4)).isEqualTo(MAIN);
                assertThat(silent.isOpen() && second.isOpen()).isTrue();
                assertThat(relay.connectedCount()).isEqualTo(2);
            }
        }
    }

    @Test
    void mainConnectionCanBeMadeLast() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good().mainAfter(1));
                SocketChannel main = connect(relay);
                SocketChannel other = connect(relay)) {
            write(main, MAIN);
            write(other, MULTIFD);
            try (SocketChannel first = destination.accept();
                    SocketChannel second = destination.accept()) {
                assertThat(read(first, 4)).isEqualTo(MULTIFD);
                assertThat(read(second, 4)).isEqualTo(MAIN);
            }
        }
    }

    @Test
    void otherConnectionCanWaitForItsFirstBytes() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good().connectingOthers(Connecting.WITH_FIRST_BYTES));
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel first = destination.accept();
                    SocketChannel silent = connect(relay)) {
                assertThat(read(first, 4)).isEqualTo(MAIN);
                assertThat(relay.connectedCount()).isEqualTo(1);
                relay.release();
                try (SocketChannel second = destination.accept()) {
                    assertThat(silent.isOpen() && second.isOpen()).isTrue();
                }
            }
        }
    }

    @Test
    void losesShutAndEverythingBehind() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good().losing(Place.SHUT));
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel accepted = destination.accept()) {
                write(accepted, PONG + SHUT);
                relay.awaitStop(DEADLINE);
                assertThat(read(main, 8)).isEqualTo(PONG);
                assertThat(readsEnd(main)).isTrue();
            }
        }
    }

    @Test
    void holdsShutUntilItIsReleased() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good().holding(Place.SHUT));
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel accepted = destination.accept()) {
                write(accepted, SHUT);
                relay.awaitStop(DEADLINE);
                assertThat(relay.delivered(Direction.REVERSE)).isZero();
                relay.release();
                assertThat(read(main, 8)).isEqualTo(SHUT);
            }
        }
    }

    @Test
    void breakOfOneDirectionEndsBothUnlessItDiesByHalves() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good());
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel accepted = destination.accept()) {
                assertThat(read(accepted, 4)).isEqualTo(MAIN);
                relay.cutReverse();
                assertThat(readsEnd(accepted)).isTrue();
                assertThat(readsEnd(main)).isTrue();
            }
        }
    }

    @Test
    void forwardGoesOnWithoutTheWayBackIfItDiesByHalves() throws Exception {
        try (ScriptedRelay relay = relay(Conduct.good().dyingByHalves());
                SocketChannel main = connect(relay)) {
            write(main, MAIN);
            try (SocketChannel accepted = destination.accept()) {
                assertThat(read(accepted, 4)).isEqualTo(MAIN);
                relay.cutReverse();
                write(accepted, PONG);
                assertThat(readsEnd(main)).isTrue();
                write(main, MAIN);
                assertThat(read(accepted, 4)).isEqualTo(MAIN);
            }
        }
    }

    private ScriptedRelay relay(Conduct conduct) throws IOException {
        return ScriptedRelay.start(folder.resolve("a"), folder.resolve("b"), conduct);
    }

    private static SocketChannel connect(ScriptedRelay relay) throws IOException {
        return SocketChannel.open(UnixDomainSocketAddress.of(relay.address()));
    }

    private static void write(SocketChannel channel, String hex) throws IOException {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static String read(SocketChannel channel, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count);
        boolean ended = false;
        while (bytes.hasRemaining() && !ended) {
            ended = channel.read(bytes) < 0;
        }
        return HexFormat.of().formatHex(bytes.array(), 0, bytes.position());
    }

    /** Nothing more comes: the end of input, or that the other end is gone. */
    private static boolean readsEnd(SocketChannel channel) {
        try {
            return channel.read(ByteBuffer.allocate(1)) < 0;
        } catch (IOException gone) {
            return true;
        }
    }
}
