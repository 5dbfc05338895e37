package io.migrationd.migrationd.link.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.CutProxy.Cut;
import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Life of a session")
@Timeout(30)
class SessionLifeTest {
    private static final MigrationUri ANYWHERE = MigrationUri.parse("tcp:127.0.0.1:0");
    private final BlockingQueue<PeerSession> accepted = new LinkedBlockingQueue<>();
    private PeerLinks a;
    private PeerLinks b;
    private PeerServer server;

    @BeforeEach
    void start() throws IOException {
        a = links("a");
        b = links("b");
        server = b.listen(ANYWHERE, accepted::add);
    }

    private static PeerLinks links(String host) {
        return new PeerLinks(new PeerIdentity(host, UUID.randomUUID()), PeerSettings.DEFAULT, Optional.empty());
    }

    @AfterEach
    void stop() {
        server.close();
        a.close();
        b.close();
    }

    private PeerSession next() throws InterruptedException {
        return Objects.requireNonNull(accepted.poll(5, TimeUnit.SECONDS), "no session came");
    }

    private static CompletableFuture<String> loss(PeerSession session) {
        CompletableFuture<String> lost = new CompletableFuture<>();
        session.onLost(lost::complete);
        return lost;
    }

    private CutProxy proxy() throws IOException {
        return new CutProxy(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), ((MigrationUri.Tcp) server.uri()).port()));
    }

    @Test
    void silenceIsNoticedWithinTwoSecondsAndAnotherAddressIsTaken() throws Exception {
        for (Cut cut : List.of(Cut.SILENCE, Cut.SILENCE_FORWARD, Cut.SILENCE_REVERSE)) {
            try (CutProxy first = proxy();
                    CutProxy second = proxy()) {
                PeerSession session =
                        a.dial("b", List.of(MigrationUri.parse(first.uri()), MigrationUri.parse(second.uri())));
                assertThat(session.awaitUp(Duration.ofSeconds(5))).isTrue();
                assertThat(session.health().address()).contains(first.uri());
                PeerSession other = next();
                long begin = System.nanoTime();
                first.refuse(true);
                first.cut(cut);
                await().atMost(Duration.ofSeconds(6))
                        .until(() -> session.health().address().equals(Optional.of(second.uri())));
                long millis = (System.nanoTime() - begin) / 1_000_000;
                assertThat(millis).as(cut.toString()).isBetween(1_000L, 3_500L);
                System.out.printf("%s: connected again over another address after %d ms%n", cut, millis);
                CompletableFuture<byte[]> got = new CompletableFuture<>();
                session.onMessage(got::complete);
                other.send(new byte[] {42});
                assertThat(got.get(3, TimeUnit.SECONDS)).containsExactly(42);
                assertThat(session.health().outages()).hasSize(1);
                session.close();
            }
        }
    }

    @Test
    void restartOfTheAcceptingDaemonIsALoss() throws Exception {
        try (CutProxy proxy = proxy()) {
            PeerSession session = a.dial("b", List.of(MigrationUri.parse(proxy.uri())));
            CompletableFuture<String> lost = loss(session);
            assertThat(session.awaitUp(Duration.ofSeconds(5))).isTrue();
            int port = ((MigrationUri.Tcp) server.uri()).port();
            // As if it was killed: no goodbye gets through.
            proxy.refuse(true);
            proxy.cut(Cut.RST);
            b.close();
            b = links("b");
            server = b.listen(new MigrationUri.Tcp("127.0.0.1", port), accepted::add);
            assertThat(lost).isNotDone();
            proxy.refuse(false);
            assertThat(lost.get(5, TimeUnit.SECONDS)).contains("no session");
            assertThatThrownBy(() -> session.send(new byte[1])).isInstanceOf(IOException.class);
        }
    }

    @Test
    void restartOfTheDialingDaemonIsALoss() throws Exception {
        try (CutProxy proxy = proxy()) {
            PeerSession first = a.dial("b", List.of(MigrationUri.parse(proxy.uri())));
            assertThat(first.awaitUp(Duration.ofSeconds(5))).isTrue();
            CompletableFuture<String> lost = loss(next());
            proxy.refuse(true);
            proxy.cut(Cut.RST);
            a.close();
            a = links("a");
            assertThat(lost).isNotDone();
            proxy.refuse(false);
            a.dial("b", List.of(MigrationUri.parse(proxy.uri())));
            assertThat(lost.get(5, TimeUnit.SECONDS)).contains("started anew");
        }
    }

    @Test
    void goodbyeIsALoss() throws Exception {
        PeerSession session = a.dial("b", List.of(server.uri()));
        PeerSession other = next();
        CompletableFuture<String> lost = loss(session);
        CompletableFuture<String> closed = loss(other);
        other.close();
        assertThat(lost.get(5, TimeUnit.SECONDS)).contains("goodbye");
        assertThat(closed.get(5, TimeUnit.SECONDS)).isEqualTo("closed");
    }

    /** A page that somebody waits for must not stand behind megabytes of another guest's precopy. */
    @Test
    void connectionIsFilledDeepOnlyWhileNobodyWaitsForAPartOfIt() throws Exception {
        try (CutProxy proxy = proxy()) {
            LinkedSession session = (LinkedSession) a.dial("b", List.of(MigrationUri.parse(proxy.uri())));
            assertThat(session.awaitUp(Duration.ofSeconds(5))).isTrue();
            UUID move = UUID.randomUUID();
            LinkedSession other = (LinkedSession) next();
            UUID another = UUID.randomUUID();
            onLoop(other, () -> other.accept(move, 0, _ -> Optional.of(new Idle())));
            onLoop(other, () -> other.accept(another, 0, _ -> Optional.of(new Idle())));
            PeerChannel first = open(session, move, ChannelKind.MAIN, 0);
            assertThat(depth(session)).isEqualTo(128 * 1024);
            onLoop(session, () -> first.bulk(true));
            assertThat(depth(session)).isEqualTo(1 << 20);
            proxy.cut(Cut.RST);
            await().atMost(Duration.ofSeconds(5)).until(() -> depth(session) == 1 << 20);
            PeerChannel second = open(session, move, ChannelKind.MULTIFD, 1);
            assertThat(depth(session)).as("somebody may wait").isEqualTo(128 * 1024);
            onLoop(session, () -> second.bulk(true));
            assertThat(depth(session)).isEqualTo(1 << 20);
            PeerChannel third = open(session, another, ChannelKind.MAIN, 0);
            onLoop(session, () -> third.bulk(true));
            assertThat(depth(session)).as("another guest may stand still").isEqualTo(128 * 1024);
            onLoop(session, () -> third.reset("over"));
            assertThat(depth(session)).isEqualTo(1 << 20);
            onLoop(session, () -> first.bulk(false));
            assertThat(depth(session)).isEqualTo(128 * 1024);
        }
    }

    /** Of a channel over which nothing comes. */
    private static final class Idle implements ChannelReader {
        @Override
        public void received(ByteBuf bytes) {
            bytes.release();
            throw new AssertionError("bytes");
        }

        @Override
        public void receivedAll() {}

        @Override
        public void ended() {}

        @Override
        public void finished() {}

        @Override
        public void roomGrown() {}

        @Override
        public void reset(String reason) {}
    }

    private static int depth(LinkedSession session) throws Exception {
        return session.loop().submit(session::depthBytes).get(5, TimeUnit.SECONDS);
    }

    private static void onLoop(LinkedSession session, Runnable action) throws Exception {
        session.loop().submit(action).get(5, TimeUnit.SECONDS);
    }

    private static PeerChannel open(LinkedSession session, UUID move, ChannelKind kind, int index) throws Exception {
        return session.loop()
                .submit(() -> session.open(new ChannelSpec(kind, move, 0, index), new Idle()))
                .get(5, TimeUnit.SECONDS);
    }

    @Test
    void messagesThatNobodyTakesAreBounded() throws Exception {
        PeerSession session = a.dial("b", List.of(server.uri()));
        PeerSession other = next();
        byte[] message = new byte[PeerSession.MAX_MESSAGE_BYTES];
        assertThatThrownBy(() -> session.send(new byte[PeerSession.MAX_MESSAGE_BYTES + 1]))
                .isInstanceOf(IOException.class);
        for (int i = 0; i < 15; i++) {
            session.send(message);
        }
        assertThatThrownBy(() -> session.send(message))
                .isInstanceOf(IOException.class)
                .hasMessageContaining("no more can wait");
        BlockingQueue<byte[]> got = new LinkedBlockingQueue<>();
        other.onMessage(got::add);
        await().atMost(Duration.ofSeconds(5)).until(() -> got.size() == 15);
        await().atMost(Duration.ofSeconds(5)).until(() -> {
            try {
                session.send(message);
                return true;
            } catch (IOException e) {
                return false;
            }
        });
    }

    /** A caller that sends nonsense loses its connection and harms nobody. */
    @Test
    void strangersAreShownTheDoor() throws Exception {
        PeerSession session = a.dial("b", List.of(server.uri()));
        assertThat(session.awaitUp(Duration.ofSeconds(5))).isTrue();
        int port = ((MigrationUri.Tcp) server.uri()).port();
        for (byte[] nonsense : List.of(
                "GET / HTTP/1.1\r\n\r\n".getBytes(java.nio.charset.StandardCharsets.US_ASCII),
                ByteBuffer.allocate(12).putInt(4 << 24 | 8).array(),
                ByteBuffer.allocate(4).putInt(1 << 24 | 0xff_ffff).array())) {
            try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
                socket.getOutputStream().write(nonsense);
                socket.setSoTimeout(3000);
                assertThat(socket.getInputStream().read()).isEqualTo(-1);
            }
        }
        assertThat(session.health().up()).isTrue();
        assertThat(session.health().outageCount()).isZero();
    }
}
