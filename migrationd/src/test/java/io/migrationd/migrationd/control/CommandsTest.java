package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.DowntimeSplit;
import io.migrationd.migrationd.session.MigrationInfo.RamCounters;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.migrationd.session.PostcopyInfo;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Commands")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class CommandsTest {
    private static final MigrationInfo COMPLETED = new MigrationInfo(
            "completed",
            1500L,
            3L,
            12L,
            null,
            new DowntimeSplit(1, 0, 2, 3, 4),
            new RamCounters(1, 2, 3, 4, 5, 6, 7, 8.5, 9, 10, 4096, 11, 12, 13),
            new XbzrleCounters(64, 1, 2, 3, Double.NaN, Double.POSITIVE_INFINITY, 4),
            null,
            "a reason",
            List.of("blocked"),
            List.of("tcp:127.0.0.1:4444", "tcp:[::1]:4445", "unix:/run/x.sock"));

    private static final MigrationInfo PAUSED = new MigrationInfo(
            "postcopy-paused",
            null,
            null,
            null,
            null,
            null,
            new RamCounters(1000, 2, 3, 4, 5, 6, 7, 8.5, 9, 10, 4096, 11, 200, 30),
            null,
            new PostcopyInfo(
                    40,
                    2L,
                    11L,
                    22L,
                    33L,
                    new PostcopyInfo.Latency(11, 250, 200, 900, 1000, List.of(0L, 5L, 6L)),
                    7L,
                    Map.of(100, 9L, 12, 3L),
                    List.of(
                            new PostcopyInfo.Recovery("reset", 1, 2L, 3L, 4L, 5),
                            new PostcopyInfo.Recovery("silence", 6, null, null, null, 7)),
                    9),
            "silence",
            List.of(),
            List.of());

    private ControlFixture fixture;

    @BeforeEach
    void start(@TempDir Path directory) throws IOException {
        fixture = new ControlFixture(directory);
    }

    @AfterEach
    void stop() {
        fixture.close();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        migrate by uri         | migrate          | {"uri": "tcp:10.0.0.2:4444"}                    | migrate tcp:10.0.0.2:4444
        to a Unix socket       | migrate          | {"uri": "unix:/run/in.sock"}                    | migrate unix:/run/in.sock
        detach has no effect   | migrate          | {"uri": "unix:/a", "detach": true, "resume": false} | migrate unix:/a
        by inet channel        | migrate          | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "inet", "host": "h", "port": "1"}}]} | migrate tcp:h:1
        by IPv6 channel        | migrate          | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "inet", "host": "::1", "port": "1"}}]} | migrate tcp:[::1]:1
        by unix channel        | migrate          | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "path": "/a"}}]} | migrate unix:/a
        empty channels and uri | migrate          | {"uri": "unix:/a", "channels": []}              | migrate unix:/a
        incoming               | migrate-incoming | {"uri": "tcp:127.0.0.1:0", "exit-on-error": false} | migrate-incoming tcp:127.0.0.1:0
        resume                 | migrate          | {"uri": "tcp:h:1", "resume": true}              | migrate resume tcp:h:1
        recover                | migrate-recover  | {"uri": "unix:/run/in.sock"}                    | migrate-recover unix:/run/in.sock
        start postcopy         | migrate-start-postcopy | {}                                        | migrate-start-postcopy
        pause                  | migrate-pause    | {}                                              | migrate-pause
        cancel                 | migrate_cancel   | {}                                              | migrate_cancel
        stop                   | stop             | {}                                              | stop
        """)
    void reachesTheGuest(String why, String command, String arguments, String call) throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute(command, arguments))).isEqualTo("{\"return\": {}}");
        }
        try (QmpTestClient client = fixture.daemonClient()) {
            String withGuest = arguments.equals("{}")
                    ? "{\"guest\": \"web01\"}"
                    : "{\"guest\": \"web01\", " + arguments.substring(1);
            assertThat(client.ask(execute(command, withGuest))).isEqualTo("{\"return\": {}}");
        }
        assertThat(fixture.web.calls).containsExactly(call, call);
        assertThat(fixture.database.calls).isEmpty();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        query-status            | {"x": 1}                    | Parameter 'x' is unexpected
        migrate                 | {}                          | need either 'uri' or 'channels' argument
        migrate                 | {"channels": []}            | need either 'uri' or 'channels' argument
        migrate                 | {"uri": "unix:/a", "channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "path": "/a"}}]} | need either 'uri' or 'channels' argument
        migrate                 | {"uri": 5}                  | Parameter 'uri' expects string
        migrate                 | {"uri": null}               | Parameter 'uri' expects string
        migrate                 | {"uri": "unix:/a", "blk": true} | Parameter 'blk' is unexpected
        migrate                 | {"uri": "unix:/a", "inc": true} | Parameter 'inc' is unexpected
        migrate                 | {"uri": "unix:/a", "detach": 1} | Parameter 'detach' expects boolean
        migrate                 | {"uri": "exec:cat"}         | unknown migration protocol: 'exec:cat'
        migrate                 | {"uri": "fd:1"}             | unknown migration protocol: 'fd:1'
        migrate                 | {"uri": "tcp:h"}            | 'tcp:h' has no port
        migrate                 | {"uri": "tcp:h:65536"}      | 'tcp:h:65536' has no port from 0 to 65535
        migrate                 | {"uri": "unix:"}            | the socket path '' has 0 bytes
        migrate                 | {"uri": "unix:/a\\u0000b"}  | the socket path
        migrate                 | {"channels": "x"}           | Parameter 'channels' expects array
        migrate                 | {"channels": [1]}           | Parameter 'channels[0]' expects object
        migrate                 | {"channels": [{"channel-type": "cpr"}]} | Parameter 'channels[0].channel-type' does not accept value 'cpr'
        migrate                 | {"channels": [{"channel-type": "main"}]} | Parameter 'channels[0].addr' is missing
        migrate                 | {"channels": [{"channel-type": "main", "addr": {"transport": "exec"}}]} | Parameter 'channels[0].addr.transport' does not accept value 'exec'
        migrate                 | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "vsock"}}]} | Parameter 'channels[0].addr.type' does not accept value 'vsock'
        migrate                 | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "host": "h"}}]} | Parameter 'channels[0].addr.path' is missing
        migrate                 | {"channels": [{"channel-type": "main", "addr": {"transport": "socket", "type": "unix", "path": "/a", "x": 1}}]} | Parameter 'channels[0].addr.x' is unexpected
        migrate                 | {"resume": true}            | need either 'uri' or 'channels' argument
        migrate-recover         | {}                          | Parameter 'uri' is missing
        migrate-recover         | {"uri": "tcp:h"}            | 'tcp:h' has no port
        migrate-pause           | {"x": 1}                    | Parameter 'x' is unexpected
        migrate-start-postcopy  | {"x": 1}                    | Parameter 'x' is unexpected
        migrate-incoming        | {"uri": "unix:/a", "exit-on-error": "no"} | Parameter 'exit-on-error' expects boolean
        migrate-continue        | {}                          | Parameter 'state' is missing
        migrate-continue        | {"state": "x"}              | Parameter 'state' does not accept value 'x'
        migrate-continue        | {"state": "pre-switchover"} | Migration not in expected state: none
        migrate-set-capabilities | {}                         | Parameter 'capabilities' is missing
        migrate-set-capabilities | {"capabilities": [{"capability": "bogus", "state": true}]} | Parameter 'capabilities[0].capability' does not accept value 'bogus'
        migrate-set-capabilities | {"capabilities": [{"capability": "events"}]} | Parameter 'capabilities[0].state' is missing
        migrate-set-capabilities | {"capabilities": [{"capability": "multifd", "state": true}]} | Capability 'multifd' is not supported by this daemon
        migrate-set-capabilities | {"capabilities": [{"capability": "postcopy-preempt", "state": true}]} | Postcopy preempt requires postcopy-ram
        migrate-set-capabilities | {"capabilities": [{"capability": "postcopy-ram", "state": false}, {"capability": "postcopy-preempt", "state": true}]} | Postcopy preempt requires postcopy-ram
        migrate-set-parameters  | {"postcopy-policy": "soon"} | Parameter 'postcopy-policy' does not accept value 'soon'
        migrate-set-parameters  | {"postcopy-policy": true}   | Parameter 'postcopy-policy' expects string
        migrate-set-parameters  | {"postcopy-budget": 86400001} | Parameter 'postcopy-budget' expects an integer in the range of 0 to 86400000
        migrate-set-parameters  | {"downtime-limit": 2000001} | Parameter 'downtime-limit' expects an integer in the range of 0 to 2000000, not 2000001
        migrate-set-parameters  | {"downtime-limit": -1}      | Parameter 'downtime-limit' expects an integer in the range of 0 to 2000000
        migrate-set-parameters  | {"downtime-limit": 1.5}     | Parameter 'downtime-limit' expects integer
        migrate-set-parameters  | {"max-bandwidth": "1G"}     | Parameter 'max-bandwidth' expects integer
        migrate-set-parameters  | {"max-bandwidth": 18446744073709551616} | Parameter 'max-bandwidth' expects a 64-bit integer
        migrate-set-parameters  | {"xbzrle-cache-size": 5000} | Parameter 'xbzrle-cache-size' expects a power of two
        migrate-set-parameters  | {"multifd-channels": 2}     | Parameter 'multifd-channels' is unexpected
        """)
    void refusesArguments(String command, String arguments, String text) throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute(command, arguments)))
                    .startsWith("{\"error\": {\"class\": \"GenericError\", \"desc\": \"" + text);
        }
        assertThat(fixture.web.calls).isEmpty();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        query-status | {}               | GenericError   | Parameter 'guest' is missing
        query-status | {"guest": 1}     | GenericError   | Parameter 'guest' expects string
        query-status | {"guest": "x"}   | DeviceNotFound | Guest 'x' not found
        guest-remove | {"guest": "x"}   | DeviceNotFound | Guest 'x' not found
        guest-park   | {"guest": "../x"} | GenericError  | '../x' is not a guest's name
        guest-list   | {"guest": "web01"} | GenericError | Parameter 'guest' is unexpected
        """)
    void daemonSocketNeedsAGuest(String command, String arguments, String errorClass, String text) throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(execute(command, arguments)))
                    .startsWith("{\"error\": {\"class\": \"" + errorClass + "\", \"desc\": \"" + text);
        }
    }

    @ParameterizedTest
    @CsvSource({"guest-list", "guest-park", "guest-remove", "daemon-status"})
    void guestSocketHasNoDaemonCommands(String command) throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute(command, "{}"))).contains("The command " + command + " has not been found");
            assertThat(client.ask(execute("query-status", "{\"guest\": \"web01\"}")))
                    .contains("Parameter 'guest' is unexpected");
        }
    }

    @Test
    void listsDefinitionsOfQemuGuests() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(execute("guest-definitions", "{}"))).isEqualTo("""
                    {"return": {"guests": [{"name": "vm1", "kind": "qemu", "uuid": "u1", "qmp": "/run/vm1", \
                    "reachable": true, "run-state": "running", "machine-type": "pc-i440fx-7.2", "ram-bytes": 64}, \
                    {"name": "vm2", "kind": "qemu", "uuid": "u2", "qmp": "/run/vm2", "reachable": false}], \
                    "problems": [{"file": "/g/x.toml", "text": "kind = 5"}]}}""");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        vm1  | "problems": [{"code": "moving", "severity": "error", "text": "a move of it is under way (source, moving): see 'migrationctl moves show vm1'"}]}}
        vm2  | "problems": [{"code": "unreachable", "severity": "error", "text": "nobody listens"}]}}
        x    | {"error": {"class": "GenericError", "desc": "kind = 5: allowed: \\"qemu\\""}}
        nope | {"error": {"class": "DeviceNotFound", "desc": "No QEMU guest 'nope' is defined"}}
        """)
    void checksAQemuGuest(String guest, String answer) throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(execute("guest-check", "{\"guest\": \"%s\"}".formatted(guest))))
                    .endsWith(answer);
        }
    }

    @Test
    void parksAndRemovesGuests() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(execute("guest-park", "{\"guest\": \"p1\"}"))).contains("\"name\": \"p1\"");
            assertThat(client.ask(execute("guest-list", "{}")))
                    .contains("\"p1\"")
                    .contains("\"web01\"");
            assertThat(client.ask(execute("guest-remove", "{\"guest\": \"p1\"}")))
                    .isEqualTo("{\"return\": {}}");
            assertThat(client.ask(execute("guest-list", "{}"))).doesNotContain("\"p1\"");
        }
    }

    @Test
    void setsCapabilitiesAllOrNone() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            client.ask(execute(
                    "migrate-set-capabilities",
                    "{\"capabilities\": [{\"capability\": \"xbzrle\", \"state\": true},"
                            + " {\"capability\": \"multifd\", \"state\": true}]}"));
            assertThat(fixture.web.capabilities()).isEmpty();
            client.ask(execute(
                    "migrate-set-capabilities",
                    "{\"capabilities\": [{\"capability\": \"xbzrle\", \"state\": true},"
                            + " {\"capability\": \"multifd\", \"state\": false}]}"));
            assertThat(client.ask(execute("query-migrate-capabilities", "{}")))
                    .contains("{\"capability\": \"xbzrle\", \"state\": true}")
                    .contains("{\"capability\": \"return-path\", \"state\": false}")
                    .doesNotContain("multifd");
        }
    }

    @Test
    void preemptGoesWithPostcopyAndNotWithout() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute(
                            "migrate-set-capabilities",
                            "{\"capabilities\": [{\"capability\": \"postcopy-preempt\", \"state\": true},"
                                    + " {\"capability\": \"postcopy-ram\", \"state\": true},"
                                    + " {\"capability\": \"xbzrle\", \"state\": true}]}")))
                    .isEqualTo("{\"return\": {}}");
            assertThat(client.ask(execute(
                            "migrate-set-capabilities",
                            "{\"capabilities\": [{\"capability\": \"postcopy-ram\", \"state\": false}]}")))
                    .contains("Postcopy preempt requires postcopy-ram");
            assertThat(fixture.web.capabilities())
                    .containsExactlyInAnyOrder(Capability.XBZRLE, Capability.POSTCOPY_RAM, Capability.POSTCOPY_PREEMPT);
        }
    }

    @Test
    void setsParametersOfPostcopy() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute("query-migrate-parameters", "{}")))
                    .contains("\"postcopy-policy\": \"manual\"");
            client.ask(execute(
                    "migrate-set-parameters",
                    "{\"postcopy-policy\": \"after-first-pass\", \"max-postcopy-bandwidth\": 7}"));
            client.ask(execute("migrate-set-parameters", "{\"postcopy-budget\": 1500}"));
            assertThat(client.ask(execute("query-migrate-parameters", "{}")))
                    .contains("\"max-postcopy-bandwidth\": 7, \"postcopy-policy\": \"after-first-pass\","
                            + " \"postcopy-budget\": 1500");
        }
    }

    @Test
    void setsSomeParametersAndKeepsTheOthers() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            client.ask(execute("migrate-set-parameters", "{\"downtime-limit\": 50, \"max-bandwidth\": -1}"));
            assertThat(client.ask(execute("query-migrate-parameters", "{}")))
                    .contains("\"downtime-limit\": 50")
                    .contains("\"max-bandwidth\": " + Long.MAX_VALUE)
                    .contains("\"xbzrle-cache-size\": 67108864");
        }
    }

    @Test
    void showsNothingOfAMigrationThatNeverWas() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute("query-migrate", "{}"))).isEqualTo("{\"return\": {}}");
        }
    }

    @Test
    void showsAMigration() throws IOException {
        fixture.web.info = COMPLETED;
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute("query-migrate", "{}"))).isEqualTo("""
                            {"return": {"status": "completed", "total-time": 1500, "setup-time": 3, "downtime": 12, \
                            "x-downtime-split": {"stop-micros": 1, "switchover-gate-micros": 0, "last-pass-micros": 2, \
                            "device-state-micros": 3, "acknowledge-micros": 4}, \
                            "ram": {"transferred": 1, "remaining": 2, "total": 3, "duplicate": 4, "normal": 5, \
                            "normal-bytes": 6, "dirty-pages-rate": 7, "mbps": 8.5, "dirty-sync-count": 9, \
                            "postcopy-requests": 10, "page-size": 4096, "multifd-bytes": 0, "pages-per-second": 11, \
                            "precopy-bytes": 12, "downtime-bytes": 13, "postcopy-bytes": 0, \
                            "dirty-sync-missed-zero-copy": 0}, \
                            "xbzrle-cache": {"cache-size": 64, "bytes": 1, "pages": 2, "cache-miss": 3, \
                            "cache-miss-rate": 0.0, "encoding-rate": 0.0, "overflow": 4}, \
                            "error-desc": "a reason", "blocked-reasons": ["blocked"], \
                            "socket-address": [{"type": "inet", "host": "127.0.0.1", "port": "4444"}, \
                            {"type": "inet", "host": "::1", "port": "4445"}, {"type": "unix", "path": "/run/x.sock"}]}}""");
        }
    }

    @Test
    void showsAPausedPostcopy() throws IOException {
        fixture.web.info = PAUSED;
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute("query-migrate", "{}"))).isEqualTo("""
                            {"return": {"status": "postcopy-paused", \
                            "ram": {"transferred": 1000, "remaining": 2, "total": 3, "duplicate": 4, "normal": 5, \
                            "normal-bytes": 6, "dirty-pages-rate": 7, "mbps": 8.5, "dirty-sync-count": 9, \
                            "postcopy-requests": 40, "page-size": 4096, "multifd-bytes": 0, "pages-per-second": 11, \
                            "precopy-bytes": 200, "downtime-bytes": 30, "postcopy-bytes": 770, \
                            "dirty-sync-missed-zero-copy": 0}, \
                            "postcopy-blocktime": 7, "postcopy-vcpu-blocktime": [3, 9], \
                            "postcopy-latency": 250000, "postcopy-latency-dist": [0, 5, 6], \
                            "postcopy": {"requests": 40, "pending-requests": 2, "urgent-pages": 11, "near-pages": 22, \
                            "background-pages": 33, "faults": {"count": 11, "mean-micros": 250, "p50-micros": 200, \
                            "p99-micros": 900, "max-micros": 1000, "buckets": [0, 5, 6]}, "blocktime-millis": 7, \
                            "thread-blocktime": [{"thread": 12, "millis": 3}, {"thread": 100, "millis": 9}], \
                            "recoveries": [{"cause": "reset", "detect-micros": 1, "reconnect-micros": 2, \
                            "resync-micros": 3, "first-page-micros": 4, "attempts": 5}, \
                            {"cause": "silence", "detect-micros": 6, "attempts": 7}], "recovery-count": 9}, \
                            "error-desc": "silence"}}""");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void resultsHaveTheTypesThatTheSchemaPromises(boolean postcopy) throws Exception {
        fixture.web.info = postcopy ? PAUSED : COMPLETED;
        DaemonFacts facts = new DaemonFacts("0.1.0", 1, ControlFixture.NOW, Map::of);
        Commands commands =
                new Commands(fixture.guests, new FakeQemus(), new FakeMoves(), facts, () -> ControlFixture.NOW);
        for (CommandTable table : List.of(commands.ofDaemon(), commands.ofGuest("web01"))) {
            for (Command command : table.commands()) {
                Arguments arguments = new Arguments(Json.object());
                if (command.parameters().stream().anyMatch(p -> p.name().equals("guest"))) {
                    arguments.members().put("guest", "web01");
                }
                if (command.name().startsWith("query-")
                        || Set.of("guest-show", "guest-definitions", "guest-check")
                                .contains(command.name())) {
                    command.returns().check(command.name(), command.run(arguments));
                }
            }
        }
    }

    @ParameterizedTest(name = "on the daemon's socket: {0}")
    @CsvSource({"true", "false"})
    void schemaListsExactlyTheCommandsAndIsClosed(boolean onDaemonSocket) throws Exception {
        try (QmpTestClient client = onDaemonSocket ? fixture.daemonClient() : fixture.guestClient("web01")) {
            Set<String> commands = new TreeSet<>();
            result(client.ask(execute("query-commands", "{}")))
                    .forEach(c -> commands.add(c.get("name").textValue()));
            Set<String> described = new TreeSet<>();
            Set<String> names = new TreeSet<>();
            JsonNode schema = result(client.ask(execute("query-qmp-schema", "{}")));
            for (JsonNode entry : schema) {
                assertThat(entry.path("allow-oob").booleanValue())
                        .isEqualTo(Set.of("migrate-pause", "migrate-recover")
                                .contains(entry.get("name").textValue()));
                assertThat(names.add(entry.get("name").textValue()))
                        .as(entry.toString())
                        .isTrue();
                if (entry.get("meta-type").textValue().equals("command")) {
                    described.add(entry.get("name").textValue());
                }
            }
            assertThat(described).isEqualTo(commands).contains("migrate", "migrate_cancel", "query-migrate");
            for (String key : List.of("type", "arg-type", "ret-type", "element-type")) {
                assertThat(names)
                        .containsAll(schema.findValuesAsText(key).stream()
                                .filter(type -> !type.isEmpty())
                                .toList());
            }
        }
    }

    @Test
    void daemonStatusShowsTheDaemon() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(execute("daemon-status", "{}")))
                    .matches("\\{\"return\": \\{\"version\": \"0.1.0\", \"pid\": 4711, \"uptime-seconds\": [0-9]+,"
                            + " \"guests\": 2, \"host-features\": \\{\"uffd-wp-async\": true}}}");
        }
    }

    @Test
    void guestShowHasBlocksAndDevices() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask(execute("guest-show", "{}")))
                    .isEqualTo("{\"return\": {\"name\": \"web01\", \"kind\": \"parked\", \"run-state\": \"inmigrate\","
                            + " \"ram-bytes\": 1048576, \"uuid\": \"00112233-4455-6677-8899-aabbccddeeff\","
                            + " \"blocks\": [{\"name\": \"pc.ram\", \"length-bytes\": 1048576, \"page-size-bytes\": 4096}],"
                            + " \"devices\": [{\"name\": \"timer\", \"instance-id\": 0, \"version\": 2},"
                            + " {\"name\": \"rtc\", \"instance-id\": 1, \"version\": 3, \"length-bytes\": 17}],"
                            + " \"check\": {\"ok\": true}}}");
        }
    }

    private static String execute(String command, String arguments) {
        return "{\"execute\": \"" + command + "\", \"arguments\": " + arguments + "}";
    }

    private static JsonNode result(String reply) throws Json.JsonSyntaxException {
        return Json.parse(reply.getBytes(StandardCharsets.US_ASCII)).get("return");
    }
}
