package io.migrationd.it.fault;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

@DisplayName("Link proxy")
@Timeout(60)
class LinkProxyTest {
    enum Kind {
        TCP,
        UNIX
    }

    @TempDir
    private Path directory = Path.of("");

    private @Nullable LinkProxy started;

    @AfterEach
    void noThreadIsLeft() throws IOException {
        if (started != null) {
            started.close();
        }
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .noneMatch(name -> name.startsWith("link-proxy-"));
    }

    @ParameterizedTest(name = "{0} to {1}")
    @CsvSource({"TCP, TCP", "UNIX, UNIX", "TCP, UNIX", "UNIX, TCP"})
    void passesBothDirectionsAtOnceAndCounts(Kind listen, Kind target) throws Exception {
        byte[] there = random(1, 5 << 20);
        byte[] back = random(2, 3 << 20);
        try (var server = new Server(target);
                var client = connect(start(listen, server.address));
                var peer = server.channel.accept()) {
            CompletableFuture<byte[]> received = inBackground(() -> exchange(peer, back));

            assertThat(exchange(client, there)).isEqualTo(back);
            assertThat(received.get()).isEqualTo(there);
            assertThat(proxy().bytes(Direction.FORWARD)).isEqualTo(there.length);
            assertThat(proxy().bytes(Direction.REVERSE)).isEqualTo(back.length);
            assertThat(proxy().connectionCount()).isEqualTo(1);
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void aHalfCloseLeavesTheOtherDirectionOpen(Kind kind) throws Exception {
        try (var link = new Link(kind)) {
            link.client.shutdownOutput();
            assertThat(readAll(link.peer)).isEmpty();

            write(link.peer, "later");
            assertThat(read(link.client, 5)).isEqualTo("later");
        }
    }

    @Test
    void aResetIsPassedOn() throws Exception {
        try (var link = new Link(Kind.TCP)) {
            ProxiedConnection.resetOnClose(link.client);
            link.client.close();

            assertThatThrownBy(() -> readAll(link.peer)).hasMessage("Connection reset");
        }
    }

    @Test
    void aResetReachesBothEnds() throws Exception {
        try (var link = new Link(Kind.TCP)) {
            proxy().cut(Cut.RESET);

            assertThatThrownBy(() -> readAll(link.client)).hasMessage("Connection reset");
            assertThatThrownBy(() -> readAll(link.peer)).hasMessage("Connection reset");
        }
    }

    @Test
    void aResetOfUnixSocketsIsTheEndOfInput() throws Exception {
        try (var link = new Link(Kind.UNIX)) {
            proxy().cut(Cut.RESET);

            assertThat(readAll(link.client)).isEmpty();
            assertThat(readAll(link.peer)).isEmpty();
            assertThatThrownBy(() -> write(link.client, "x")).hasMessage("Broken pipe");
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void aFinReachesBothEndsAndDropsWhatTheyStillSend(Kind kind) throws Exception {
        try (var link = new Link(kind)) {
            proxy().cut(Cut.FIN);

            write(link.client, "lost");
            assertThat(readAll(link.client)).isEmpty();
            assertThat(readAll(link.peer)).isEmpty();
            assertThat(proxy().bytes(Direction.FORWARD)).isZero();
        }
    }

    @ParameterizedTest
    @CsvSource({"TCP, FORWARD", "UNIX, FORWARD", "TCP, REVERSE", "UNIX, REVERSE"})
    void notOneByteMoreThanToldPasses(Kind kind, Direction direction) throws Exception {
        byte[] bytes = random(3, 10_000);
        try (var link = new Link(kind)) {
            CompletableFuture<@Nullable Void> done = proxy().cutAfter(direction, 1_234, Cut.FIN);
            boolean forward = direction == Direction.FORWARD;
            writeAll(forward ? link.client : link.peer, bytes);

            assertThat(readAll(forward ? link.peer : link.client)).isEqualTo(Arrays.copyOf(bytes, 1_234));
            done.get();
            assertThat(proxy().bytes(direction)).isEqualTo(1_234);
        }
    }

    @Test
    void aCutForBytesThatHavePassedIsDoneAtOnce() throws Exception {
        try (var link = new Link(Kind.TCP)) {
            write(link.client, "before");
            assertThat(read(link.peer, 6)).isEqualTo("before");

            proxy().cutAfter(Direction.FORWARD, 3, Cut.RESET).get();

            assertThatThrownBy(() -> readAll(link.client)).hasMessage("Connection reset");
        }
    }

    @Test
    void aLaterConnectionOutlivesTheCut() throws Exception {
        try (var server = new Server(Kind.TCP)) {
            LinkProxy proxy = start(Kind.TCP, server.address);
            CompletableFuture<@Nullable Void> cut = proxy.cutAfter(Direction.FORWARD, 3, Cut.RESET);
            try (var first = connect(proxy);
                    var peer = server.channel.accept()) {
                write(first, "abcdef");
                cut.get();
                assertThat(peer.isOpen()).isTrue();
            }

            try (var second = connect(proxy);
                    var peer = server.channel.accept()) {
                write(second, "abcdef");
                assertThat(read(peer, 6)).isEqualTo("abcdef");
            }
            assertThat(proxy.bytes(Direction.FORWARD)).isEqualTo(9);
            assertThat(proxy.connectionCount()).isEqualTo(2);
        }
    }

    @ParameterizedTest
    @EnumSource(Kind.class)
    void silenceOfOneDirectionLeavesTheOtherAlone(Kind kind) throws Exception {
        try (var link = new Link(kind)) {
            proxy().cut(Cut.SILENCE_FORWARD);
            write(link.client, "held");
            write(link.peer, "passes");

            assertThat(read(link.client, 6)).isEqualTo("passes");
            assertThat(proxy().bytes(Direction.FORWARD)).isZero();

            proxy().heal();
            assertThat(read(link.peer, 4)).isEqualTo("held");
        }
    }

    @Test
    void silenceAtAByteHoldsTheRestUntilHealed() throws Exception {
        try (var link = new Link(Kind.TCP)) {
            CompletableFuture<@Nullable Void> done = proxy().cutAfter(Direction.FORWARD, 4, Cut.SILENCE);
            write(link.client, "onlythis");
            link.client.shutdownOutput();
            done.get();

            assertThat(read(link.peer, 4)).isEqualTo("only");
            assertThat(proxy().bytes(Direction.FORWARD)).isEqualTo(4);

            proxy().heal();
            assertThat(readAll(link.peer)).asString().isEqualTo("this");
        }
    }

    @Test
    void silenceStopsTheSenderWhenAllBuffersAreFull() throws Exception {
        byte[] bytes = random(4, 64 << 20);
        try (var link = new Link(Kind.UNIX)) {
            proxy().cut(Cut.SILENCE_FORWARD);
            CompletableFuture<byte[]> sender = inBackground(() -> {
                writeAll(link.client, bytes);
                link.client.shutdownOutput();
                return bytes;
            });
            write(link.peer, "x");
            read(link.client, 1);

            assertThat(sender).isNotDone();
            assertThat(proxy().bytes(Direction.FORWARD)).isZero();

            proxy().heal();
            assertThat(readAll(link.peer)).isEqualTo(bytes);
            sender.get();
        }
    }

    @Test
    void refusesNewConnectionsUntilHealed() throws Exception {
        try (var server = new Server(Kind.TCP)) {
            LinkProxy proxy = start(Kind.TCP, server.address);
            proxy.refuse();
            try (var refused = connect(proxy)) {
                assertThatThrownBy(() -> readAll(refused)).hasMessage("Connection reset");
            }
            proxy.heal();
            try (var accepted = connect(proxy);
                    var peer = server.channel.accept()) {
                write(accepted, "x");
                assertThat(read(peer, 1)).isEqualTo("x");
            }
        }
    }

    @Test
    void aTargetThatIsNotThereIsAReset() throws Exception {
        LinkProxy proxy = start(Kind.TCP, UnixDomainSocketAddress.of(directory.resolve("nobody")));
        try (var client = connect(proxy)) {
            assertThatThrownBy(() -> readAll(client)).hasMessage("Connection reset");
        }
    }

    @Test
    void laterConnectionsGoToTheNewTarget() throws Exception {
        try (var first = new Server(Kind.TCP);
                var second = new Server(Kind.UNIX)) {
            LinkProxy proxy = start(Kind.TCP, first.address);
            proxy.retarget(second.address);
            try (var client = connect(proxy);
                    var peer = second.channel.accept()) {
                write(client, "x");
                assertThat(read(peer, 1)).isEqualTo("x");
            }
        }
    }

    @Test
    void theRateHolds() throws Exception {
        byte[] bytes = random(5, 200_000);
        try (var link = new Link(Kind.TCP)) {
            proxy().limitRate(Direction.FORWARD, 1_000_000);
            long start = System.nanoTime();
            CompletableFuture<byte[]> sent = inBackground(() -> {
                writeAll(link.client, bytes);
                link.client.shutdownOutput();
                return bytes;
            });

            assertThat(readAll(link.peer)).isEqualTo(bytes);
            sent.get();
            // 200 ms, less the bursts at both ends.
            assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(175));

            proxy().unlimitRate(Direction.FORWARD);
        }
    }

    @Test
    void theDelayHoldsInTheDirectionThatHasIt() throws Exception {
        try (var link = new Link(Kind.TCP)) {
            proxy().delay(Direction.FORWARD, Duration.ofMillis(50));
            long start = System.nanoTime();
            write(link.client, "late");

            assertThat(read(link.peer, 4)).isEqualTo("late");
            assertThat(System.nanoTime() - start).isGreaterThan(TimeUnit.MILLISECONDS.toNanos(49));
        }
    }

    @Test
    void captureHasWhatPassed() throws Exception {
        try (var server = new Server(Kind.TCP)) {
            LinkProxy proxy = LinkProxy.start("test", anyAddress(Kind.TCP), server.address, directory);
            started = proxy;
            CompletableFuture<@Nullable Void> cut = proxy.cutAfter(Direction.FORWARD, 5, Cut.FIN);
            try (var client = connect(proxy);
                    var peer = server.channel.accept()) {
                write(peer, "back");
                read(client, 4);
                write(client, "there and no more");
                readAll(peer);
                cut.get();
            }
            proxy.close();
        }

        assertThat(directory.resolve("0.fwd")).hasContent("there");
        assertThat(directory.resolve("0.rev")).hasContent("back");
    }

    @Test
    void aCutThatWillNotComeIsCancelled() throws Exception {
        try (var server = new Server(Kind.UNIX)) {
            LinkProxy proxy = start(Kind.UNIX, server.address);
            CompletableFuture<@Nullable Void> replaced = proxy.cutAfter(Direction.FORWARD, 1, Cut.FIN);
            CompletableFuture<@Nullable Void> last = proxy.cutAfter(Direction.REVERSE, 1, Cut.FIN);
            assertThat(replaced).isCancelled();
            assertThat(last).isNotDone();

            proxy.close();

            assertThat(last).isCancelled();
        }
    }

    @Test
    void closingRemovesTheSocketAndEndsTheConnections() throws Exception {
        try (var link = new Link(Kind.UNIX)) {
            var path = ((UnixDomainSocketAddress) proxy().address()).getPath();
            assertThat(path).exists();

            proxy().close();

            assertThat(readAll(link.client)).isEmpty();
            assertThat(readAll(link.peer)).isEmpty();
            assertThat(Files.exists(path)).isFalse();
            assertThatIllegalStateException()
                    .isThrownBy(() -> proxy().heal())
                    .havingCause()
                    .withMessage("thread link-proxy-test has ended");
        }
    }

    private LinkProxy start(Kind listen, SocketAddress target) throws IOException {
        LinkProxy proxy = LinkProxy.start("test", anyAddress(listen), target);
        started = proxy;
        return proxy;
    }

    private LinkProxy proxy() {
        LinkProxy proxy = started;
        if (proxy == null) {
            throw new IllegalStateException("no proxy was started");
        }
        return proxy;
    }

    private SocketAddress anyAddress(Kind kind) throws IOException {
        return switch (kind) {
            case TCP -> new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
            case UNIX ->
                UnixDomainSocketAddress.of(
                        Files.createTempDirectory(directory, "s").resolve("socket"));
        };
    }

    private static SocketChannel connect(LinkProxy proxy) throws IOException {
        return SocketChannel.open(proxy.address());
    }

    /** Where the proxy connects to. */
    private final class Server implements Closeable {
        final ServerSocketChannel channel;
        final SocketAddress address;

        Server(Kind kind) throws IOException {
            channel = kind == Kind.UNIX
                    ? ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                    : ServerSocketChannel.open();
            channel.bind(anyAddress(kind));
            address = channel.getLocalAddress();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }

    /** Two ends that are connected through a proxy, all of one kind. */
    private final class Link implements Closeable {
        private final Server server;
        final SocketChannel client;
        final SocketChannel peer;

        Link(Kind kind) throws IOException {
            server = new Server(kind);
            client = connect(start(kind, server.address));
            peer = server.channel.accept();
        }

        @Override
        public void close() throws IOException {
            client.close();
            peer.close();
            server.close();
        }
    }

    private interface Work {
        byte[] run() throws IOException;
    }

    private static CompletableFuture<byte[]> inBackground(Work work) {
        var result = new CompletableFuture<byte[]>();
        Thread.ofPlatform().name("test-end").start(() -> {
            try {
                result.complete(work.run());
            } catch (IOException e) {
                result.completeExceptionally(e);
            }
        });
        return result;
    }

    /** Sends all of {@code bytes} in another thread and returns all that comes. */
    private static byte[] exchange(SocketChannel channel, byte[] bytes) throws IOException {
        CompletableFuture<byte[]> sent = inBackground(() -> {
            writeAll(channel, bytes);
            channel.shutdownOutput();
            return bytes;
        });
        byte[] received = readAll(channel);
        assertThat(sent.join()).isEqualTo(bytes);
        return received;
    }

    private static void write(SocketChannel channel, String text) throws IOException {
        writeAll(channel, text.getBytes(StandardCharsets.US_ASCII));
    }

    private static void writeAll(SocketChannel channel, byte[] bytes) throws IOException {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        while (left.hasRemaining()) {
            channel.write(left);
        }
    }

    private static String read(SocketChannel channel, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        while (buffer.hasRemaining()) {
            assertThat(channel.read(buffer)).isPositive();
        }
        return new String(buffer.array(), StandardCharsets.US_ASCII);
    }

    private static byte[] readAll(SocketChannel channel) throws IOException {
        var all = new ByteArrayOutputStream();
        ByteBuffer buffer = ByteBuffer.allocate(64 << 10);
        while (channel.read(buffer) >= 0) {
            all.write(buffer.array(), 0, buffer.position());
            buffer.clear();
        }
        return all.toByteArray();
    }

    private static byte[] random(long seed, int length) {
        byte[] bytes = new byte[length];
        new SplittableRandom(seed).nextBytes(bytes);
        return bytes;
    }
}
