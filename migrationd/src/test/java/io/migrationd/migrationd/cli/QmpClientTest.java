package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("QMP client")
class QmpClientTest {
    private static final Duration SOON = Duration.ofMillis(200);

    @TempDir
    private Path directory = Path.of("");

    @Test
    void negotiatesOutOfBandExecutionWhereItIsOffered() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory).start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            assertThat(client.greeting().object("version")).isPresent();
            assertThat(daemon.receivedLines())
                    .containsExactly(
                            "{\"execute\":\"qmp_capabilities\",\"arguments\":{\"enable\":[\"oob\"]},\"id\":1}");
        }
    }

    @Test
    void negotiatesWithoutOutOfBandExecutionWhereItIsNotOffered() throws Exception {
        String old = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}";
        try (FakeDaemon daemon = FakeDaemon.at(directory, old).start();
                QmpClient _ = QmpClient.connect(daemon.socket())) {
            assertThat(daemon.receivedLines()).containsExactly("{\"execute\":\"qmp_capabilities\",\"id\":1}");
        }
    }

    @Test
    void returnsWhatTheCommandReturned() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering("query-status", "{\"status\": \"running\", \"running\": true}")
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            JsonObject status = client.query("query-status", Map.of("guest", "wéb"));
            assertThat(status.text("status")).contains("running");
            assertThat(daemon.received())
                    .containsExactly("{\"execute\":\"query-status\",\"arguments\":{\"guest\":\"w\\u00E9b\"}}");
        }
    }

    @Test
    void throwsWhatTheDaemonRefused() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering(
                                "stop", "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"Guest not found\"}}")
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            assertThatThrownBy(() -> client.execute("stop", Map.of("guest", "web01")))
                    .isInstanceOfSatisfying(QmpException.class, e -> {
                        assertThat(e.errorClass()).isEqualTo("DeviceNotFound");
                        assertThat(e.request())
                                .isEqualTo("{\"execute\":\"stop\",\"arguments\":{\"guest\":\"web01\"},\"id\":2}");
                    })
                    .hasMessage("Guest not found");
        }
    }

    @Test
    void keepsEventsThatComeBeforeAReply() throws Exception {
        String event = """
                {"event": "MIGRATION", "data": {"guest": "web01", "status": "setup"}, "timestamp": {"seconds": 5, "microseconds": 7}}""";
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering("migrate", event + "\n{}")
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            client.query("migrate", Map.of());
            QmpEvent first = client.nextEvent(SOON).orElseThrow();
            assertThat(first.name()).isEqualTo("MIGRATION");
            assertThat(first.guest()).contains("web01");
            assertThat(first.at()).contains(Instant.ofEpochSecond(5, 7000));
            assertThat(client.nextEvent(Duration.ZERO)).isEmpty();
        }
    }

    @Test
    void sendsNothingBehindACommandThatIsNotAnswered() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering("stop", FakeDaemon.SILENCE)
                        .answering("query-status", "{\"status\": \"running\"}")
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket(), SOON)) {
            assertThatThrownBy(() -> client.query("stop", Map.of()))
                    .isInstanceOf(DaemonUnreachableException.class)
                    .hasMessageContaining("no answer to stop within");
            assertThatThrownBy(() -> client.query("query-status", Map.of()))
                    .isInstanceOf(DaemonUnreachableException.class)
                    .hasMessageContaining("query-status was not sent: no answer yet to stop, sent");
            assertThat(daemon.received()).containsExactly("{\"execute\":\"stop\"}");
        }
    }

    @Test
    void reportsAConnectionThatEnds() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering("stop", FakeDaemon.HANG_UP)
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            assertThatThrownBy(() -> client.query("stop", Map.of()))
                    .isInstanceOf(DaemonUnreachableException.class)
                    .hasMessageEndingWith("control.sock: it closed the connection");
            assertThatThrownBy(() -> client.nextEvent(SOON)).isInstanceOf(DaemonUnreachableException.class);
        }
    }

    @Test
    void sendsAMessageAsItIsAndReturnsAnyReply() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                        .answering("query-status", "{\"status\": \"running\"}")
                        .start();
                QmpClient client = QmpClient.connect(daemon.socket())) {
            assertThat(client.exchange("{\"execute\": \"query-status\", \"id\": \"mine\"}"))
                    .isEqualToIgnoringNewLines("{\"return\": {\"status\": \"running\"}, \"id\": \"mine\"}\r");
        }
    }

    @Test
    void namesASocketThatIsNotThere() {
        Path socket = directory.resolve("control.sock");
        assertThatThrownBy(() -> QmpClient.connect(socket))
                .isInstanceOf(DaemonUnreachableException.class)
                .hasMessage("daemon at %s: No such file or directory", socket);
    }

    @Test
    void namesASocketThatNobodyListensAt() throws Exception {
        Path socket = directory.resolve("control.sock");
        ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                .bind(UnixDomainSocketAddress.of(socket))
                .close();
        assertThat(Files.exists(socket)).isTrue();
        assertThatThrownBy(() -> QmpClient.connect(socket))
                .isInstanceOf(DaemonUnreachableException.class)
                .hasMessage("daemon at %s: Connection refused", socket);
    }

    @Test
    void givesUpOnAServerThatDoesNotGreet() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)) { // Bound, never accepting.
            assertThatThrownBy(() -> QmpClient.connect(daemon.socket(), SOON))
                    .isInstanceOf(DaemonUnreachableException.class)
                    .hasMessageContaining("no answer to the connection within");
            daemon.start();
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            no JSON         | SSH-2.0-OpenSSH_9.2 | does not speak QMP: Unrecognized token
            no object       | [1]                 | does not speak QMP: expected a JSON object
            two objects     | {} {}               | does not speak QMP: expected nothing after the JSON object
            other protocol  | {"hello": 1}        | does not speak QMP: it sent no greeting
            """)
    void refusesAGreeting(String why, String greeting, String message) throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory, greeting).start()) {
            assertThatThrownBy(() -> QmpClient.connect(daemon.socket()), why)
                    .isInstanceOf(DaemonUnreachableException.class)
                    .hasMessageContaining(message);
        }
    }

    @Test
    void endsItsThreadWhenItIsClosed() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory).start()) {
            QmpClient.connect(daemon.socket()).close();
            assertThat(Thread.getAllStackTraces().keySet())
                    .extracting(Thread::getName)
                    .doesNotContain("qmp-daemon");
            assertThat(List.of(daemon.received())).hasSize(1);
        }
    }
}
