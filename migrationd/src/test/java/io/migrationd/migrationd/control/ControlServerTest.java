package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.config.Accounts;
import io.migrationd.migrationd.config.ControlConfig;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Control server")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class ControlServerTest {
    @TempDir
    private Path directory;

    @Test
    void socketsHaveTheirModeAndGoWithTheServer() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            for (Path socket : List.of(fixture.paths.controlSocket(), fixture.paths.guestControlSocket("web01"))) {
                assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(socket)))
                        .isEqualTo("rw-rw----");
            }
        }
        assertThat(directory.resolve("control.sock")).doesNotExist();
        assertThat(directory.resolve("guests")).isEmptyDirectory();
    }

    @Test
    void noThreadIsLeftBehind() throws IOException {
        ControlFixture fixture = new ControlFixture(directory);
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(threads()).contains("ctl-accept").anyMatch(name -> name.startsWith("ctl-client-"));
            fixture.close();
            assertThat(client.readLine()).isEqualTo("<closed>");
        }
        assertThat(threads()).isEmpty();
    }

    @Test
    void clientsThreadEndsWithItsConnection() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            for (int i = 0; i < 20; i++) {
                fixture.daemonClient().close();
            }
            Awaitility.await().untilAsserted(() -> assertThat(threads()).containsExactly("ctl-accept"));
        }
    }

    @Test
    void guestsComeAndGo() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            fixture.guests.add("new");
            fixture.server.guestAdded("new");
            fixture.server.guestAdded("new");
            try (QmpTestClient client = fixture.guestClient("new");
                    QmpTestClient other = fixture.guestClient("web01")) {
                fixture.server.guestRemoved("new");
                fixture.server.guestRemoved("new");
                assertThat(client.readLine()).isEqualTo("<closed>");
                assertThat(fixture.paths.guestControlSocket("new")).doesNotExist();
                assertThat(other.ask("{'execute': 'query-status'}")).startsWith("{\"return\": ");
            }
            fixture.server.guestAdded("new");
            fixture.guestClient("new").close();
        }
    }

    @ParameterizedTest
    @CsvSource(
            quoteCharacter = '"',
            value = {"../x", "a/b", ".hidden", "\"\"", "a b"})
    void nameThatIsNoFileNameIsRefused(String name) throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            assertThatThrownBy(() -> fixture.server.guestAdded(name)).isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void deadSocketsAreReplaced() throws IOException {
        Files.createDirectory(directory.resolve("guests"));
        leaveDeadSocket(directory.resolve("control.sock"));
        leaveDeadSocket(directory.resolve("guests/web01.qmp"));
        leaveDeadSocket(directory.resolve("guests/gone.qmp"));
        try (ControlFixture fixture = new ControlFixture(directory)) {
            fixture.daemonClient().close();
            fixture.guestClient("web01").close();
            assertThat(directory.resolve("guests/gone.qmp")).doesNotExist();
        }
    }

    @Test
    void liveSocketIsAnError() throws IOException {
        try (ControlFixture first = new ControlFixture(directory)) {
            assertThatThrownBy(() -> new ControlFixture(directory).close())
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("is in use: another process answers there");
            first.daemonClient().close();
            first.guestClient("web01").close();
        }
    }

    @Test
    void fileInTheWayIsAnErrorAndIsKept() throws IOException {
        Path file = Files.writeString(directory.resolve("control.sock"), "precious");
        assertThatThrownBy(() -> new ControlFixture(directory).close())
                .isInstanceOf(IOException.class)
                .hasMessageContaining("is in the way: it is not a socket");
        assertThat(file).hasContent("precious");
    }

    @ParameterizedTest(name = "{0} may run {1}: {2}")
    @CsvSource({
        "OBSERVE,    query-status, true,  observe",
        "OBSERVE,    guest-show,   true,  observe",
        "OBSERVE,    stop,         false, operate",
        "OBSERVE,    migrate_cancel, false, operate",
        "OBSERVE,    guest-remove, false, administer",
        "OPERATE,    query-status, true,  observe",
        "OPERATE,    stop,         true,  operate",
        "OPERATE,    guest-reclaim, false, administer",
        "OPERATE,    guest-remove, false, administer",
        "ADMINISTER, stop,         true,  operate",
        "ADMINISTER, guest-remove, true,  administer",
    })
    void roleDecides(Role role, String command, boolean allowed, String needed) throws IOException {
        AtomicReference<Peer> seen = new AtomicReference<>();
        try (ControlFixture fixture = new ControlFixture(directory, ControlFixture.CONFIG, peer -> {
                    seen.set(peer);
                    return Optional.of(role);
                });
                QmpTestClient client = fixture.daemonClient()) {
            String reply = client.ask("{'execute': '" + command + "', 'arguments': {'guest': 'web01'}}");
            if (allowed) {
                assertThat(reply).startsWith("{\"return\": ");
            } else {
                assertThat(reply)
                        .isEqualTo("{\"error\": {\"class\": \"GenericError\", \"desc\": \"The command " + command
                                + " needs the right '" + needed + "'; uid "
                                + seen.get().uid() + " has '"
                                + role.label() + "'\"}}");
                assertThat(fixture.web.calls).isEmpty();
            }
            assertThat(seen.get().pid()).isEqualTo((int) ProcessHandle.current().pid());
        }
    }

    @Test
    void peerWithoutARoleIsTurnedAway() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory, ControlFixture.CONFIG, peer -> Optional.empty());
                QmpTestClient client = QmpTestClient.connect(fixture.paths.controlSocket())) {
            assertThat(client.readLine()).contains("has none of the rights observe, operate and administer");
            assertThat(client.readLine()).isEqualTo("<closed>");
        }
    }

    @Test
    void limitOfClientsLeavesRoomForAdministrators() throws IOException {
        AtomicReference<Role> role = new AtomicReference<>(Role.OPERATE);
        List<QmpTestClient> clients = new ArrayList<>();
        try (ControlFixture fixture =
                new ControlFixture(directory, config(3, 4 << 20), peer -> Optional.of(role.get()))) {
            for (int i = 0; i < 3; i++) {
                clients.add(fixture.daemonClient());
            }
            try (QmpTestClient fourth = QmpTestClient.connect(fixture.paths.controlSocket())) {
                assertThat(fourth.readLine()).contains("3 clients are connected, the limit is 3");
                assertThat(fourth.readLine()).isEqualTo("<closed>");
            }
            role.set(Role.ADMINISTER);
            clients.add(fixture.daemonClient());
            clients.getFirst().close();
            clients.get(1).close();
            role.set(Role.OPERATE);
            Awaitility.await().until(() -> fixture.meters.scrape().contains("control_clients 2.0"));
            clients.add(fixture.daemonClient());
        } finally {
            for (QmpTestClient client : clients) {
                client.close();
            }
        }
    }

    @Test
    void eventsReachNegotiatedClientsOfTheRightSockets() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory);
                QmpTestClient daemon = fixture.daemonClient();
                QmpTestClient second = fixture.daemonClient();
                QmpTestClient web = fixture.guestClient("web01");
                QmpTestClient database = fixture.guestClient("db01");
                QmpTestClient silent = QmpTestClient.connect(fixture.paths.controlSocket())) {
            assertThat(silent.readLine()).startsWith("{\"QMP\": ");
            awaitSubscribed(daemon, second, web, database);

            fixture.events.event("web01", "MIGRATION", Map.of("status", "active"));
            fixture.events.event("web01", "STOP", Map.of());

            String stamp = "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, ";
            for (QmpTestClient client : List.of(daemon, second)) {
                assertThat(client.readLine())
                        .isEqualTo(stamp + "\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\","
                                + " \"guest\": \"web01\"}}");
                assertThat(client.readLine())
                        .isEqualTo(stamp + "\"event\": \"STOP\", \"data\": {\"guest\": \"web01\"}}");
            }
            assertThat(web.readLine())
                    .isEqualTo(stamp + "\"event\": \"MIGRATION\", \"data\": {\"status\": \"active\"}}");
            assertThat(web.readLine()).isEqualTo(stamp + "\"event\": \"STOP\"}");
            assertThat(database.ask("{'execute': 'query-status'}")).startsWith("{\"return\": ");
            assertThat(silent.ask("{'execute': 'qmp_capabilities'}")).isEqualTo("{\"return\": {}}");
        }
    }

    @Test
    void eventThatJsonCannotSayIsLostButNotTheEngine() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            fixture.events.event("web01", "ODD", Map.of("x", new Object()));
        }
    }

    @Test
    void clientThatDoesNotReadIsDisconnectedAndOthersHearOn() throws IOException {
        try (ControlFixture fixture =
                        new ControlFixture(directory, config(64, 64 << 10), peer -> Optional.of(Role.OPERATE));
                QmpTestClient deaf = fixture.daemonClient();
                QmpTestClient good = fixture.daemonClient()) {
            awaitSubscribed(deaf, good);
            int events = 0;
            while (!fixture.meters.scrape().contains("control_clients 1.0")) {
                fixture.events.event("web01", "X", Map.of("text", "a".repeat(10_000)));
                assertThat(good.readLine()).contains("\"event\": \"X\"");
                assertThat(++events)
                        .as("events until the deaf client was dropped")
                        .isLessThan(1000);
            }
            assertThat(good.ask("{'execute': 'daemon-status'}")).startsWith("{\"return\": ");
        }
    }

    @Test
    void clientThatAsksAndDoesNotReadIsDisconnected() throws IOException {
        try (ControlFixture fixture =
                        new ControlFixture(directory, config(64, 64 << 10), peer -> Optional.of(Role.OPERATE));
                QmpTestClient deaf = fixture.daemonClient()) {
            assertThatThrownBy(() -> {
                        for (int i = 0; i < 100_000; i++) {
                            deaf.send("{'execute': 'query-qmp-schema'}");
                        }
                    })
                    .isInstanceOf(IOException.class);
            Awaitility.await().until(() -> fixture.meters.scrape().contains("control_clients 0.0"));
        }
    }

    @Test
    void clientThatLeavesDuringACommandIsForgottenAfterIt() throws IOException {
        try (ControlFixture fixture = new ControlFixture(directory)) {
            CountDownLatch gate = new CountDownLatch(1);
            fixture.web.stopGate = gate;
            try (QmpTestClient client = fixture.guestClient("web01")) {
                client.send("{'execute': 'stop'}{'execute': 'stop'}");
                Awaitility.await().until(() -> fixture.web.calls.contains("stop"));
            }
            gate.countDown();
            Awaitility.await().until(() -> fixture.meters.scrape().contains("control_clients 0.0"));
        }
    }

    @Test
    void closesAlsoWhileACommandRuns() throws IOException {
        CountDownLatch gate = new CountDownLatch(1);
        ControlFixture fixture = new ControlFixture(directory);
        fixture.web.stopGate = gate;
        try (QmpTestClient client = fixture.guestClient("web01")) {
            client.send("{'execute': 'stop'}");
            Awaitility.await().until(() -> fixture.web.calls.contains("stop"));
            Thread closer = Thread.ofPlatform().start(fixture::close);
            assertThat(client.readLine()).isEqualTo("<closed>");
            gate.countDown();
            Awaitility.await().until(() -> !closer.isAlive());
        }
        assertThat(threads()).isEmpty();
    }

    @Test
    void countsCommandsByNameAndOutcome() throws IOException {
        try (ControlFixture fixture =
                        new ControlFixture(directory, ControlFixture.CONFIG, peer -> Optional.of(Role.OBSERVE));
                QmpTestClient client = fixture.guestClient("web01")) {
            client.ask("{'execute': 'query-status'}");
            client.ask("{'execute': 'query-status', 'arguments': {'x': 1}}");
            client.ask("{'execute': 'stop'}");
            client.ask("{'execute': 'whatever-4711'}");
            Awaitility.await()
                    .untilAsserted(() -> assertThat(fixture.meters.scrape())
                            .contains("control_commands_total{command=\"query-status\",outcome=\"ok\"} 1.0")
                            .contains("control_commands_total{command=\"query-status\",outcome=\"error\"} 1.0")
                            .contains("control_commands_total{command=\"stop\",outcome=\"refused\"} 1.0")
                            .contains("control_commands_total{command=\"unknown\",outcome=\"error\"} 1.0")
                            .doesNotContain("4711"));
        }
    }

    private static ControlConfig config(int maxClients, int maxOutgoingBytes) {
        return new ControlConfig(
                Accounts.NONE, Accounts.NONE, Accounts.NONE, 0660, maxClients, 1 << 14, maxOutgoingBytes);
    }

    /** A client hears events from its second answer on at the latest: the first is sent before it subscribes. */
    private static void awaitSubscribed(QmpTestClient... clients) throws IOException {
        for (QmpTestClient client : clients) {
            assertThat(client.ask("{'execute': 'query-version'}")).startsWith("{\"return\": ");
        }
    }

    private static void leaveDeadSocket(Path path) throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(path));
        }
        assertThat(path).exists();
    }

    private static Set<String> threads() {
        return Set.copyOf(Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("ctl-"))
                .toList());
    }
}
