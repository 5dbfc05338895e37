package io.migrationd.migrationd.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.link.Links.Listener;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Migration channel")
class NettyChannelTest {
    private static final long STALL_MILLIS = 400;
    /** Six buffers here, two MiB and a piece there, and what the kernel keeps of both sockets. */
    private static final long MOST_IN_FLIGHT = 24L << 20;

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, STALL_MILLIS);
    private final LinkedBlockingQueue<MigrationChannel> accepted = new LinkedBlockingQueue<>();

    /** Both ends of one connection. */
    private record Pair(MigrationChannel near, MigrationChannel far, Listener listener) implements AutoCloseable {
        @Override
        public void close() {
            near.close();
            far.close();
            Links.releaseInput(near);
            Links.releaseInput(far);
            listener.close();
        }
    }

    @AfterEach
    void close() {
        links.close();
    }

    private Pair connect(String kind) throws IOException, InterruptedException {
        MigrationUri uri =
                MigrationUri.parse(kind.endsWith("tcp") ? "tcp:127.0.0.1:0" : "unix:" + directory.resolve("l.sock"));
        Listener listener = links.listen(uri, accepted::add);
        MigrationChannel near = links.connect(listener.uri());
        Pair pair = new Pair(near, Objects.requireNonNull(accepted.poll(10, TimeUnit.SECONDS), "accepted"), listener);
        if (kind.startsWith("direct")) {
            near.serveDirectly();
            pair.far().serveDirectly();
        }
        return pair;
    }

    /** Parked, or in poll(2). */
    private static boolean waits(Thread thread) {
        return thread.getState() == Thread.State.WAITING
                || thread.getState() == Thread.State.TIMED_WAITING
                || Arrays.stream(thread.getStackTrace())
                        .anyMatch(frame -> frame.getClassName().endsWith(".PollSet"));
    }

    private static void send(MigrationChannel channel, int value) throws IOException {
        SendBuffer buffer = channel.acquire();
        byte[] bytes = new byte[SendBuffer.CAPACITY];
        Arrays.fill(bytes, (byte) value);
        buffer.append(bytes, 0, bytes.length);
        channel.send(buffer);
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "unix", "direct tcp"})
    void carriesBytesBothWays(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            for (int i = 0; i < 6; i++) {
                send(pair.near(), i);
            }
            StreamReader in = new StreamReader(pair.far().input());
            for (int i = 0; i < 6; i++) {
                assertThat(in.readBytes("piece", SendBuffer.CAPACITY, SendBuffer.CAPACITY))
                        .containsOnly(i);
            }
            pair.near().drain();
            assertThat(pair.near().bytesSent()).isEqualTo(6L * SendBuffer.CAPACITY);
            assertThat(pair.far().bytesReceived()).isEqualTo(6L * SendBuffer.CAPACITY);

            pair.far().writeSmall(new byte[] {1, 2, 3});
            assertThat(new StreamReader(pair.near().input()).readBytes("reply", 3, 3))
                    .containsExactly(1, 2, 3);
        }
    }

    @Test
    void theEventLoopLetsGoInTheMiddle() throws Exception {
        try (Pair pair = connect("tcp")) {
            send(pair.near(), 1);
            pair.far().serveDirectly();
            pair.near().serveDirectly();
            send(pair.near(), 2);
            pair.near().writeSmall(new byte[] {3});
            StreamReader in = new StreamReader(pair.far().input());

            assertThat(in.readBytes("piece", SendBuffer.CAPACITY, SendBuffer.CAPACITY))
                    .containsOnly(1);
            assertThat(in.readBytes("piece", SendBuffer.CAPACITY, SendBuffer.CAPACITY))
                    .containsOnly(2);
            assertThat(in.readBytes("last", 1, 1)).containsExactly(3);
            assertThat(pair.near().bytesSent()).isEqualTo(2L * SendBuffer.CAPACITY + 1);
            assertThat(pair.near().bytesAccepted()).isEqualTo(2L * SendBuffer.CAPACITY + 1);
        }
    }

    @Test
    void aBrokenConnectionCannotBeHad() throws IOException, InterruptedException {
        try (Pair pair = connect("tcp")) {
            pair.near().abort(new IOException("broken by the test"));

            pair.near().serveDirectly();
            assertThatThrownBy(() -> pair.near().writeSmall(new byte[1])).hasRootCauseMessage("broken by the test");
        }
    }

    /** What keeps a busy reader from looking must not count as the silence of its peer. */
    @Test
    void aPeerIsSilentOnlyWhileSomebodyListens() throws Exception {
        try (Pair pair = connect("direct tcp")) {
            long asked = System.nanoTime();
            assertThat(pair.far().lastReceivedNanos()).isGreaterThanOrEqualTo(asked);

            CompletableFuture<?> reading = CompletableFuture.runAsync(() -> {
                try {
                    pair.far().input().next();
                } catch (IOException e) {
                    throw new IllegalStateException(e);
                }
            });
            await("the silence begins").until(() -> {
                long before = pair.far().lastReceivedNanos();
                return before == pair.far().lastReceivedNanos();
            });
            pair.near().writeSmall(new byte[1]);
            reading.get(10, TimeUnit.SECONDS);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "unix", "direct tcp", "direct unix"})
    void aShortQueueHoldsFewBuffers(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            pair.near().keepQueueShort(2);
            pair.near().deadPeerTimeout(3_000);
            SendBuffer first = pair.near().acquire();
            pair.near().acquire();

            assertThatThrownBy(() -> pair.near().acquire())
                    .hasMessageEndingWith("has taken no data for " + STALL_MILLIS + " ms");
            first.append(new byte[] {7}, 0, 1);
            pair.near().send(first);
            pair.near().drain();
            assertThat(pair.near().acquire()).isNotNull();
            assertThat(pair.near().bytesAccepted()).isEqualTo(1);
            assertThat(pair.near().bytesSent()).isEqualTo(1);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"ends its side", "closes", "aborts", "did so before"})
    void tellsOnceThatThePeerHasEnded(String how) throws IOException, InterruptedException {
        AtomicInteger told = new AtomicInteger();
        try (Pair pair = connect("tcp")) {
            if (how.equals("did so before")) {
                pair.far().shutdownOutput();
                assertThat(pair.near().input().next()).isNull();
            }
            pair.near().whenEnded(told::incrementAndGet);
            switch (how) {
                case "ends its side" -> pair.far().shutdownOutput();
                case "closes" -> pair.far().close();
                default -> pair.far().abort(new IOException("aborted by the test"));
            }
            await().until(() -> told.get() > 0);
        }
        assertThat(told).hasValue(1);
    }

    /** Bytes that nobody has read are neither the end nor lost by it. */
    @ParameterizedTest
    @ValueSource(strings = {"ends its side", "closes", "aborts", "did so before"})
    void tellsOfTheEndAlsoWhileNobodyReads(String how) throws IOException, InterruptedException {
        AtomicInteger told = new AtomicInteger();
        try (Pair pair = connect("direct tcp")) {
            pair.far().writeSmall(new byte[] {1, 2, 3});
            if (how.equals("did so before")) {
                pair.far().shutdownOutput();
            }
            pair.near().whenEnded(told::incrementAndGet);
            if (!how.equals("did so before")) {
                await().during(Duration.ofMillis(300)).until(() -> told.get() == 0);
            }
            switch (how) {
                case "ends its side" -> pair.far().shutdownOutput();
                case "closes" -> pair.far().close();
                case "aborts" -> pair.far().abort(new IOException("aborted by the test"));
                default -> {}
            }
            await().until(() -> told.get() > 0);
            if (!how.equals("aborts")) {
                StreamReader in = new StreamReader(pair.near().input());
                assertThat(in.readBytes("bytes", 3, 3)).containsExactly(1, 2, 3);
                assertThat(in.atEnd()).isTrue();
            }
        }
        assertThat(told).hasValue(1);
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "unix", "direct tcp", "direct unix"})
    void aReaderThatDoesNotReadStopsTheWriter(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            long[] written = {0};

            assertThatThrownBy(() -> {
                        while (written[0] < 2 * MOST_IN_FLIGHT) {
                            send(pair.near(), 1);
                            written[0] += SendBuffer.CAPACITY;
                        }
                    })
                    .isInstanceOf(IOException.class)
                    .hasStackTraceContaining("has taken no data for " + STALL_MILLIS + " ms");

            assertThat(written[0]).isLessThan(MOST_IN_FLIGHT);
            assertThat(pair.far().bytesReceived()).as("waits to be read").isLessThan(4L << 20);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "unix"})
    void goesOnWhenTheReaderDoes(String kind) throws Exception {
        try (Pair pair = connect(kind)) {
            int pieces = 400;
            CompletableFuture<Long> sum = new CompletableFuture<>();
            Thread reader = Thread.ofPlatform().start(() -> {
                try {
                    await().until(() -> pair.far().bytesReceived() > 2 << 20);
                    StreamReader in = new StreamReader(pair.far().input());
                    long all = 0;
                    for (int i = 0; i < pieces; i++) {
                        all += in.readBytes("piece", SendBuffer.CAPACITY, SendBuffer.CAPACITY)[0];
                    }
                    sum.complete(all);
                } catch (IOException | RuntimeException e) {
                    sum.completeExceptionally(e);
                }
            });
            for (int i = 0; i < pieces; i++) {
                send(pair.near(), 1);
            }
            pair.near().drain();

            assertThat(sum.get(30, TimeUnit.SECONDS)).isEqualTo(pieces);
            reader.join();
        }
    }

    @Test
    void aListenerRemovesItsSocketOnceAndNotTheNextOnes() throws Exception {
        MigrationUri.Unix uri =
                new MigrationUri.Unix(directory.resolve("once.sock").toString());
        Listener first = links.listen(uri, accepted::add);
        first.close();
        try (Listener second = links.listen(uri, accepted::add)) {
            first.close();

            assertThat(second.uri()).isEqualTo(uri);
            assertThat(Path.of(uri.path())).exists();
        }
        assertThat(Path.of(uri.path())).doesNotExist();
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "direct tcp", "direct unix"})
    void theEndOfOneDirectionLeavesTheOther(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            pair.near().writeSmall(new byte[] {7});
            pair.near().shutdownOutput();
            StreamReader in = new StreamReader(pair.far().input());

            assertThat(in.readU8("byte")).isEqualTo(7);
            assertThat(in.atEnd()).isTrue();

            pair.far().writeSmall(new byte[] {8});
            assertThat(new StreamReader(pair.near().input()).readU8("reply")).isEqualTo(8);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "direct tcp", "direct unix"})
    void anAbortWakesTheReader(String kind) throws Exception {
        try (Pair pair = connect(kind)) {
            CompletableFuture<Boolean> read = new CompletableFuture<>();
            Thread reader = Thread.ofPlatform().start(() -> {
                try {
                    read.complete(new StreamReader(pair.near().input()).atEnd());
                } catch (IOException e) {
                    read.completeExceptionally(e);
                }
            });
            await().until(() -> waits(reader));

            pair.near().abort(new IOException("cancelled"));

            assertThatThrownBy(() -> read.get(10, TimeUnit.SECONDS))
                    .isInstanceOf(ExecutionException.class)
                    .hasRootCauseMessage("cancelled");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "direct tcp"})
    void anAbortWakesTheWriter(String kind) throws Exception {
        Links patient = new Links(5_000, 60_000);
        try (Listener listener = patient.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::add);
                MigrationChannel near = patient.connect(listener.uri())) {
            if (kind.startsWith("direct")) {
                near.serveDirectly();
            }
            CompletableFuture<Void> write = new CompletableFuture<>();
            Thread writer = Thread.ofPlatform().start(() -> {
                try {
                    while (true) {
                        send(near, 1);
                    }
                } catch (IOException e) {
                    write.completeExceptionally(e);
                }
            });
            await().until(() -> waits(writer));

            near.abort(new IOException("cancelled"));

            assertThatThrownBy(() -> write.get(10, TimeUnit.SECONDS)).hasRootCauseMessage("cancelled");
            assertThatThrownBy(near::acquire).hasRootCauseMessage("cancelled");
            assertThatThrownBy(() -> near.writeSmall(new byte[1])).hasRootCauseMessage("cancelled");
            assertThatThrownBy(near::drain).hasRootCauseMessage("cancelled");
        } finally {
            patient.close();
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "direct tcp", "direct unix"})
    void theFirstAbortIsTheReason(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            pair.near().abort(new IOException("first"));
            pair.near().abort(new IOException("second"));

            assertThatThrownBy(() -> pair.near().acquire()).hasRootCauseMessage("first");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "unix", "direct tcp", "direct unix"})
    void aPeerThatIsGoneFailsTheWriter(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            pair.far().abort(new IOException("killed"));

            await().untilAsserted(
                            () -> assertThatThrownBy(() -> send(pair.near(), 1)).isInstanceOf(IOException.class));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"tcp", "direct tcp"})
    void whatWasSentBeforeCloseArrives(String kind) throws IOException, InterruptedException {
        try (Pair pair = connect(kind)) {
            send(pair.near(), 5);
            pair.near().writeSmall(new byte[] {6});

            pair.near().close();
            pair.near().close();

            StreamReader in = new StreamReader(pair.far().input());
            assertThat(in.readBytes("piece", SendBuffer.CAPACITY, SendBuffer.CAPACITY))
                    .containsOnly(5);
            assertThat(in.readU8("last")).isEqualTo(6);
            assertThat(in.atEnd()).isTrue();
        }
    }

    @Test
    void failsWhenThePeerIsSilent() throws IOException, InterruptedException {
        try (Pair pair = connect("unix")) {
            pair.near().failIfSilent(50);

            assertThatThrownBy(() -> new StreamReader(pair.near().input()).readU8("byte"))
                    .hasStackTraceContaining("has sent nothing for 50 ms");
        }
    }

    @Test
    void oneByteIsEnoughNotToBeSilent() throws IOException, InterruptedException {
        try (Pair pair = connect("unix")) {
            pair.far().writeSmall(new byte[] {1});
            StreamReader in = new StreamReader(pair.near().input());
            assertThat(in.readU8("byte")).isEqualTo(1);

            pair.near().failIfSilent(1);
            pair.far().writeSmall(new byte[] {2});

            assertThat(in.readU8("byte")).isEqualTo(2);
        }
    }

    @Test
    void nobodyListens() {
        assertThatThrownBy(() -> links.connect(MigrationUri.parse("unix:" + directory.resolve("nobody"))))
                .isInstanceOf(IOException.class)
                .hasMessage("no connection to unix:" + directory.resolve("nobody"));
        assertThatThrownBy(() -> links.connect(MigrationUri.parse("tcp:127.0.0.1:1")))
                .hasMessage("no connection to tcp:127.0.0.1:1");
    }
}
