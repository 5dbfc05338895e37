package io.migrationd.migrationd.qmp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Libc;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.newsclub.net.unix.FileDescriptorCast;

@DisplayName("QMP monitor")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class QmpMonitorTest {
    private static final Duration LONG = Duration.ofSeconds(20);
    private static final Duration SHORT = Duration.ofMillis(50);

    @TempDir
    private Path directory = Path.of("");

    private final QmpEvents events = new QmpEvents();
    private ScriptedQmp qemu;

    @BeforeEach
    void connect() throws Exception {
        qemu = ScriptedQmp.connected(directory, events);
    }

    @AfterEach
    void close() throws Exception {
        qemu.close();
    }

    @Test
    void sendsNoSecondCommandBeforeTheFirstIsAnswered() throws Exception {
        CompletableFuture<@Nullable Object> first = inBand("query-status", LONG);
        assertThat(qemu.read()).contains("query-status");
        CompletableFuture<@Nullable Object> second = inBand("query-uuid", LONG);
        qemu.send("{\"return\": 1, \"id\": 2}");
        assertThat(first.get()).isEqualTo(1L);
        assertThat(qemu.read()).contains("query-uuid").contains("\"id\":3");
        qemu.send("{\"return\": 2, \"id\": 3}");
        assertThat(second.get()).isEqualTo(2L);
    }

    /** What the process before had read in part, and what it had asked, does no harm. */
    @Test
    void goesOnWithAConnectionOfAProcessThatIsGone() throws Exception {
        Path socket = directory.resolve("kept");
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
                AFUNIXSocketChannel client = AFUNIXSocketChannel.open()) {
            server.bind(UnixDomainSocketAddress.of(socket));
            client.connect(AFUNIXSocketAddress.of(socket));
            SocketChannel peer = server.accept();
            peer.write(StandardCharsets.UTF_8.encode("tus\": \"active\"}}\r\n{\"return\": {}, \"id\": 2}\r\n"));
            Descriptor kept = new Descriptor(Libc.dup(
                    FileDescriptorCast.using(client.getFileDescriptor()).as(Integer.class)));
            try (QmpMonitor monitor = QmpMonitor.adopt("QEMU", socket, kept, LONG, events)) {
                assertThat(monitor.hasOutOfBand()).isTrue();
                CompletableFuture<@Nullable Object> answer = CompletableFuture.supplyAsync(() -> {
                    try {
                        return monitor.executeOutOfBand("migrate-recover", Map.of("uri", "unix:/m"), LONG);
                    } catch (QmpException | QmpConnectionException e) {
                        throw new IllegalStateException(e);
                    }
                });
                String request = new BufferedReader(
                                new InputStreamReader(Channels.newInputStream(peer), StandardCharsets.UTF_8))
                        .readLine();
                JsonObject asked = Json.parseObject(request);
                assertThat(asked.text("exec-oob")).hasValue("migrate-recover");
                long id = asked.number("id").orElseThrow();
                assertThat(id).isGreaterThan(1L << 32);
                peer.write(StandardCharsets.UTF_8.encode("{\"return\": 5, \"id\": %d}\r\n".formatted(id)));
                assertThat(answer.get(20, TimeUnit.SECONDS)).isEqualTo(5L);
            }
            peer.close();
        }
    }

    @Test
    void queuesNothingBehindACommandThatIsNotAnsweredInTime() throws Exception {
        assertThatThrownBy(inBand("query-migrate", SHORT)::get)
                .cause()
                .isInstanceOfSatisfying(
                        QmpTimeoutException.class, e -> assertThat(e.sent()).isTrue())
                .hasMessageContaining("QEMU at " + directory)
                .hasMessageContaining("no answer to query-migrate within 50 ms");
        assertThatThrownBy(inBand("migrate_cancel", SHORT)::get)
                .cause()
                .isInstanceOfSatisfying(
                        QmpTimeoutException.class, e -> assertThat(e.sent()).isFalse())
                .hasMessageContaining("migrate_cancel was not sent: no answer yet to query-migrate");
        assertThat(qemu.monitor().hangs()).isTrue();
        assertThat(qemu.read()).contains("query-migrate");
        // The late answer belongs to the command that was given up, and makes room for the next.
        CompletableFuture<@Nullable Object> next = inBand("query-status", LONG);
        qemu.send("{\"return\": \"late\", \"id\": 2}");
        String line = qemu.read();
        assertThat(line).contains("query-status");
        qemu.send("{\"return\": \"mine\", \"id\": %s}".formatted(idOf(line)));
        assertThat(next.get()).isEqualTo("mine");
        assertThat(qemu.monitor().hangs()).isFalse();
    }

    @Test
    void passesACommandOutOfBandWhileTheMainLoopIsBlocked() throws Exception {
        CompletableFuture<@Nullable Object> blocked = inBand("query-migrate", LONG);
        assertThat(qemu.read()).startsWith("{\"execute\":\"query-migrate\"");
        CompletableFuture<@Nullable Object> pause =
                async(() -> qemu.monitor().executeOutOfBand("migrate-pause", Map.of(), LONG));
        String line = qemu.read();
        assertThat(line).startsWith("{\"exec-oob\":\"migrate-pause\"");
        qemu.send("{\"return\": {}, \"id\": %s}".formatted(idOf(line)));
        assertThat(pause.get()).isEqualTo(Map.of());
        assertThat(blocked).isNotDone();
        qemu.send("{\"return\": {}, \"id\": 2}");
        assertThat(blocked.get()).isEqualTo(Map.of());
    }

    @Test
    void boundsCommandsOutOfBand() throws Exception {
        for (int i = 0; i <= QmpCalls.MAX_OUT_OF_BAND; i++) {
            assertThatThrownBy(() -> qemu.monitor().executeOutOfBand("yank", Map.of(), Duration.ofMillis(1)))
                    .isInstanceOfSatisfying(
                            QmpTimeoutException.class, e -> assertThat(e.sent()).isTrue());
        }
        assertThatThrownBy(() -> qemu.monitor().executeOutOfBand("yank", Map.of(), Duration.ofMillis(1)))
                .isInstanceOfSatisfying(
                        QmpTimeoutException.class, e -> assertThat(e.sent()).isFalse());
    }

    @Test
    void tellsAllThatWaitThatThePeerHasEnded() throws Exception {
        CompletableFuture<@Nullable Object> waiting = inBand("query-migrate", LONG);
        qemu.read();
        CompletableFuture<@Nullable Object> outOfTurn = inBand("query-status", LONG);
        qemu.hangUp();
        assertThatThrownBy(waiting::get).cause().isInstanceOf(QmpClosedException.class);
        assertThatThrownBy(outOfTurn::get).cause().isInstanceOf(QmpClosedException.class);
        assertThatThrownBy(() -> events.await(System.nanoTime() + LONG.toNanos()))
                .isInstanceOf(QmpClosedException.class)
                .hasMessageEndingWith("it closed the connection");
        assertThatThrownBy(() -> qemu.monitor().execute("cont", Map.of(), LONG)).isInstanceOf(QmpClosedException.class);
    }

    @Test
    void takesAnErrorWithoutIdAsTheAnswer() throws Exception {
        CompletableFuture<@Nullable Object> refused = inBand("bad", LONG);
        qemu.read();
        qemu.send("{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}");
        assertThatThrownBy(refused::get)
                .cause()
                .isInstanceOf(QmpException.class)
                .hasMessage("JSON parse error");
    }

    @Test
    void endsAConnectionThatAnswersWithoutEnd() throws Exception {
        for (int i = 0; i <= QmpCalls.MAX_UNCLAIMED; i++) {
            qemu.send("{\"return\": {}, \"id\": 77}");
        }
        assertThatThrownBy(() -> events.await(System.nanoTime() + LONG.toNanos()))
                .hasMessageContaining("1000 answers came that nobody asked for");
    }

    @Test
    void sendsNoRequestThatCouldBlockTheSocket() {
        assertThatThrownBy(() ->
                        qemu.monitor().execute("x", Map.of("a", "y".repeat(QmpMonitor.MAX_REQUEST_BYTES)), LONG))
                .isInstanceOf(IllegalArgumentException.class);
        assertThat(inBand("query-status", LONG)).isNotDone();
    }

    @Test
    void isClosedWithoutTellingItsListener() throws Exception {
        qemu.monitor().close();
        assertThat(events.await(0)).isEmpty();
        assertThatThrownBy(() -> qemu.monitor().execute("cont", Map.of(), LONG))
                .isInstanceOf(QmpClosedException.class)
                .hasMessageEndingWith("the connection was closed");
    }

    @Test
    void refusesAListenerThatCallsItsOwnMonitor(@TempDir Path other) throws Exception {
        CompletableFuture<RuntimeException> thrown = new CompletableFuture<>();
        CompletableFuture<QmpMonitor> self = new CompletableFuture<>();
        QmpMonitor.Listener listener = new QmpMonitor.Listener() {
            @Override
            public void event(QmpEvent event) {
                try {
                    self.join().execute("cont", Map.of(), LONG);
                } catch (QmpException | QmpConnectionException e) {
                    thrown.completeExceptionally(e);
                } catch (RuntimeException e) {
                    thrown.complete(e);
                }
            }

            @Override
            public void closed(QmpClosedException cause) {
                thrown.completeExceptionally(cause);
            }
        };
        try (ScriptedQmp scripted = ScriptedQmp.connected(other, listener)) {
            self.complete(scripted.monitor());
            scripted.send("{\"event\": \"STOP\"}");
            assertThat(thrown.get()).isInstanceOf(IllegalStateException.class);
        }
    }

    private CompletableFuture<@Nullable Object> inBand(String command, Duration timeout) {
        return async(() -> qemu.monitor().execute(command, Map.of(), timeout));
    }

    private interface Body {
        @Nullable
        Object run() throws Exception;
    }

    private static CompletableFuture<@Nullable Object> async(Body body) {
        CompletableFuture<@Nullable Object> result = new CompletableFuture<>();
        Thread.ofPlatform().daemon().start(() -> {
            try {
                result.complete(body.run());
            } catch (Exception e) {
                result.completeExceptionally(e);
            }
        });
        return result;
    }

    private static String idOf(String line) {
        return line.replaceFirst(".*\"id\":([0-9]+)}$", "$1");
    }
}
