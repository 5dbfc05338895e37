package io.migrationd.it.fault;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.it.fault.Step.Action.Break;
import io.migrationd.it.fault.Step.Action.Run;
import io.migrationd.it.fault.Step.Trigger;
import io.migrationd.it.fault.Step.Trigger.After;
import io.migrationd.it.fault.Step.Trigger.At;
import io.migrationd.it.fault.Step.Trigger.Bytes;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Postcopy link")
@Timeout(60)
class PostcopyLinkTest {
    private static final Duration NEVER_HEALED = Duration.ofMinutes(10);

    private @Nullable ServerSocket server;
    private @Nullable PostcopyLink link;

    @BeforeEach
    void listen() throws IOException {
        server = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void close() throws IOException {
        server().close();
        if (link != null) {
            link.close();
        }
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .noneMatch(name -> name.startsWith("link-proxy-"));
    }

    private ServerSocket server() {
        return Objects.requireNonNull(server);
    }

    private PostcopyLink start(Step... script) throws IOException {
        link = PostcopyLink.start(
                "test",
                new InetSocketAddress(InetAddress.getLoopbackAddress(), server().getLocalPort()),
                List.of(script));
        return link;
    }

    private static Step cut(Trigger trigger, Cut cut) {
        return new Step(trigger, new Break(cut, Scope.ALL, Duration.ZERO, Newcomers.REFUSED));
    }

    private static At at(Place place) {
        return new At(place, 1);
    }

    private static byte[] capture(String name) throws IOException {
        try (InputStream in = PostcopyLinkTest.class.getResourceAsStream("/fixtures/" + name + ".gz")) {
            assertThat(in).as(name).isNotNull();
            return new GZIPInputStream(in).readAllBytes();
        }
    }

    private static Socket connect(PostcopyLink to) throws IOException {
        return new Socket(to.address().getAddress(), to.address().getPort());
    }

    @FunctionalInterface
    private interface Sending {
        void run() throws IOException;
    }

    private static CompletableFuture<Boolean> inBackground(Sending sending) {
        return CompletableFuture.supplyAsync(() -> {
            try {
                sending.run();
                return true;
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    /** Errors of the sender are no matter: the link breaks. */
    private static void sendAnyway(Socket socket, byte[] bytes) {
        var _ = CompletableFuture.runAsync(() -> {
            try {
                socket.getOutputStream().write(bytes);
            } catch (IOException broken) {
                // Expected.
            }
        });
    }

    @Test
    void passesAllConnectionsUnchanged() throws Exception {
        byte[] main = capture("preempt-10.0.main.fwd");
        byte[] back = capture("preempt-10.0.main.rev");
        byte[] preempt = capture("preempt-10.0.preempt.fwd");
        PostcopyLink through = start();
        try (Socket first = connect(through);
                Socket firstPeer = server().accept();
                Socket second = connect(through);
                Socket secondPeer = server().accept()) {
            var sent = inBackground(() -> {
                first.getOutputStream().write(main);
                first.shutdownOutput();
            });
            var urgent = inBackground(() -> {
                second.getOutputStream().write(preempt);
                second.shutdownOutput();
            });
            var answered = inBackground(() -> {
                firstPeer.getOutputStream().write(back);
                firstPeer.shutdownOutput();
            });

            assertThat(firstPeer.getInputStream().readAllBytes()).isEqualTo(main);
            assertThat(secondPeer.getInputStream().readAllBytes()).isEqualTo(preempt);
            assertThat(first.getInputStream().readAllBytes()).isEqualTo(back);
            CompletableFuture.allOf(sent, urgent, answered).get();
            assertThat(through.hasPassed(Place.EOF)).isTrue();
            assertThat(through.hasPassed(Place.SHUT)).isTrue();
            assertThat(through.hasPassed(Place.PREEMPT_CONNECTED)).isTrue();
            assertThat(through.hasPassed(Place.RESUME)).isFalse();
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "HEADER, 8",
        "CONFIGURATION, 27",
        "ADVISE, 62",
        "PRECOPY_PART, 267521",
        "PACKAGE_BUT_LAST, 1040185",
        "PACKAGE, 1040186",
        "IN_PAGE_HEADER, 1044315",
        "EOF, 1171567",
    })
    void notOneByteBeyondThePlacePasses(Place place, int bytes) throws Exception {
        byte[] stream = capture("preempt-10.0.main.fwd");
        PostcopyLink through = start(cut(at(place), Cut.FIN));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            sendAnyway(client, stream);

            assertThat(peer.getInputStream().readAllBytes()).isEqualTo(Arrays.copyOf(stream, bytes));
            assertThat(client.getInputStream().readAllBytes()).isEmpty();
            through.played().get(10, TimeUnit.SECONDS);
        }
    }

    @Test
    void theLastWordIsHeldBack() throws Exception {
        byte[] back = capture("preempt-10.0.main.rev");
        PostcopyLink through = start(cut(at(Place.BEFORE_SHUT), Cut.FIN));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            sendAnyway(peer, back);

            assertThat(client.getInputStream().readAllBytes()).isEqualTo(Arrays.copyOf(back, back.length - 8));
        }
    }

    @Test
    void bytesOfBothConnectionsCount() throws Exception {
        PostcopyLink through = start(cut(new Bytes(Direction.FORWARD, 1000), Cut.FIN));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            sendAnyway(client, capture("recover-10.0.second.main.fwd"));

            assertThat(peer.getInputStream().readAllBytes()).hasSize(1000);
        }
    }

    @Test
    void stepsHappenOneAfterTheOther() throws Exception {
        var runs = new AtomicInteger();
        PostcopyLink through = start(
                new Step(at(Place.RECV_BITMAP), new Run("count", runs::incrementAndGet)),
                new Step(new After(Duration.ofMillis(20)), new Run("count", runs::incrementAndGet)),
                cut(new At(Place.RECV_BITMAP, 5), Cut.RESET));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            byte[] stream = capture("recover-10.0.second.main.fwd");
            client.getOutputStream().write(stream, 0, 63);
            assertThat(peer.getInputStream().readNBytes(63)).hasSize(63);
            while (runs.get() < 2) {
                Thread.onSpinWait();
            }
            client.getOutputStream().write(stream, 63, 1000);

            assertThatThrownBy(() -> client.getInputStream().readAllBytes()).hasMessageContaining("reset");
            assertThatThrownBy(() -> peer.getInputStream().readAllBytes()).hasMessageContaining("reset");
        }
    }

    @Test
    void onlyThePreemptChannelBreaks() throws Exception {
        byte[] preempt = capture("preempt-10.0.preempt.fwd");
        PostcopyLink through = start(new Step(
                at(Place.PREEMPT_IN_PAGE), new Break(Cut.RESET, Scope.PREEMPT, Duration.ZERO, Newcomers.REFUSED)));
        try (Socket first = connect(through);
                Socket firstPeer = server().accept();
                Socket second = connect(through);
                Socket secondPeer = server().accept()) {
            first.getOutputStream().write(capture("preempt-10.0.main.fwd"), 0, 100);
            assertThat(firstPeer.getInputStream().readNBytes(100)).hasSize(100);
            sendAnyway(second, preempt);

            assertThatThrownBy(() -> secondPeer.getInputStream().readAllBytes()).hasMessageContaining("reset");
            firstPeer.getOutputStream().write(7);
            assertThat(first.getInputStream().read()).isEqualTo(7);
        }
    }

    @Test
    void oneDirectionEndsAndTheOtherGoesOn() throws Exception {
        PostcopyLink through = start(cut(at(Place.HEADER), Cut.FIN_REVERSE));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            client.getOutputStream().write(capture("preempt-10.0.main.fwd"), 0, 100);

            assertThat(client.getInputStream().readAllBytes()).isEmpty();
            assertThat(peer.getInputStream().readNBytes(100)).hasSize(100);
        }
    }

    @Test
    void whatIsSilentPassesWhenHealedAndSoDoNewcomers() throws Exception {
        PostcopyLink through =
                start(new Step(at(Place.HEADER), new Break(Cut.SILENCE, Scope.ALL, NEVER_HEALED, Newcomers.SILENT)));
        try (Socket client = connect(through);
                Socket peer = server().accept()) {
            client.getOutputStream().write(capture("preempt-10.0.main.fwd"), 0, 100);
            assertThat(peer.getInputStream().readNBytes(8)).hasSize(8);
            through.played().get(10, TimeUnit.SECONDS);
            try (Socket newcomer = connect(through)) {
                newcomer.getOutputStream().write(8);
                assertThat(through.history()).anyMatch(line -> line.endsWith("connection waits"));
                assertThat(peer.getInputStream().available()).isZero();

                through.heal();
                try (Socket newcomerPeer = server().accept()) {
                    assertThat(newcomerPeer.getInputStream().read()).isEqualTo(8);
                    assertThat(peer.getInputStream().readNBytes(92)).hasSize(92);
                }
            }
        }
    }

    @Test
    void newcomersAreRefusedUntilHealed() throws Exception {
        PostcopyLink through =
                start(new Step(at(Place.HEADER), new Break(Cut.RESET, Scope.ALL, NEVER_HEALED, Newcomers.REFUSED)));
        try (Socket client = connect(through)) {
            client.getOutputStream().write(capture("preempt-10.0.main.fwd"), 0, 100);
            through.played().get(10, TimeUnit.SECONDS);
            try (Socket newcomer = connect(through)) {
                assertThatThrownBy(() -> newcomer.getInputStream().read()).hasMessageContaining("reset");
            }
            through.heal();
            try (Socket newcomer = connect(through)) {
                server().accept().close();
                try (Socket peer = server().accept()) {
                    newcomer.getOutputStream().write(8);
                    assertThat(peer.getInputStream().read()).isEqualTo(8);
                }
            }
        }
    }
}
