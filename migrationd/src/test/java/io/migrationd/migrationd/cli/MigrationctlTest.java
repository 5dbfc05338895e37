package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.qmp.Json;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("migrationctl")
class MigrationctlTest {
    private static final String WEB01 = """
            {"name":"web01","kind":"process","run-state":"running","uuid":"b1f7","machine-type":"pc-q35-7.2",\
            "ram-bytes":1073741824,"blocks":[{"name":"pc.ram","length-bytes":1073741824,"page-size-bytes":4096}],\
            "devices":[{"name":"cpu","instance-id":0,"version":1,"length-bytes":120},\
            {"name":"timer","instance-id":2,"version":3,"length-bytes":-1}],\
            "pid":4242,"migration-status":null,"check":{"violations":0,"note":"fine"}}""";
    private static final String DB = """
            {"name":"db","kind":"parked","run-state":"inmigrate","ram-bytes":0,"blocks":[],"devices":[],\
            "migration-status":"setup"}""";
    private static final String UNKNOWN_GUEST = """
            {"error": {"class": "DeviceNotFound", "desc": "Guest 'nope' not found"}}""";
    private static final String POSTMIGRATE = "{\"status\":\"postmigrate\",\"running\":false}";
    private static final String RUNNING = "{\"status\":\"running\",\"running\":true}";

    @TempDir
    private Path directory = Path.of("");

    private static final String NO_DEFINITIONS = "{\"guests\":[],\"problems\":[]}";

    @Test
    void guestListIsATable() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-list", "[%s,%s]".formatted(DB, WEB01))
                .answering("guest-definitions", "{\"guests\":[%s,%s],\"problems\":[]}".formatted(VM, SILENT_VM))
                .answering("move-list", "[%s]".formatted(MOVE))
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "list");
            assertThat(run).isEqualTo(new CommandRun(0, """
                    NAME   KIND     STATE      RAM       PID   MIGRATION
                    db     parked   inmigrate  0 B       -     setup
                    web01  process  running    1.0 GiB   4242  -
                    vm1    qemu     running    64.0 MiB  -     -
                    vm2    qemu     moving     -         -     paging
                    """, ""));
        }
    }

    private static final String MOVE = "{\"id\":\"m\",\"guest\":\"vm2\",\"phase\":\"paging\"}";

    @Test
    void guestShowKnowsQemuGuestsAndTheirMoves() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-definitions", "{\"guests\":[%s,%s],\"problems\":[]}".formatted(VM, SILENT_VM))
                .answering("move-list", "[%s]".formatted(MOVE))
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "guest", "show", "vm2")).isEqualTo(new CommandRun(0, """
                    vm2
                      kind         qemu
                      state        moving
                      uuid         u2
                      machine      -
                      ram          -
                      pid          -
                      migration    paging
                    """, ""));
        }
    }

    private static final String VM = """
            {"name":"vm1","kind":"qemu","uuid":"u1","qmp":"/run/vm1","reachable":true,"run-state":"running",\
            "machine-type":"pc-i440fx-7.2","ram-bytes":67108864}""";
    private static final String SILENT_VM =
            "{\"name\":\"vm2\",\"kind\":\"qemu\",\"uuid\":\"u2\",\"qmp\":\"/run/vm2\",\"reachable\":false}";

    @Test
    void guestDefinitionsListsGuestsAndWrongFiles() throws Exception {
        String listing = "{\"guests\":[%s,%s],\"problems\":[{\"file\":\"/g/x.toml\",\"text\":\"kind = 5\"}]}"
                .formatted(VM, SILENT_VM);
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering("guest-definitions", listing).start()) {
            assertThat(CommandRun.of(daemon.socket(), "guest", "definitions")).isEqualTo(new CommandRun(0, """
                    vm1 running
                      uuid         u1
                      qmp          /run/vm1
                      machine      pc-i440fx-7.2
                      ram          64.0 MiB
                    vm2 does not answer
                      uuid         u2
                      qmp          /run/vm2
                    /g/x.toml is no definition
                      error        kind = 5
                    """, ""));
        }
    }

    @Test
    void guestCheckIsThreeWhereSomethingStandsInTheWay() throws Exception {
        String problems = "[{\"code\":\"unreachable\",\"severity\":\"error\",\"text\":\"nobody listens\"}]";
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-check", "{\"guest\":%s,\"problems\":%s}".formatted(SILENT_VM, problems))
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "guest", "check", "vm2")).isEqualTo(new CommandRun(3, """
                    vm2 does not answer
                      uuid         u2
                      qmp          /run/vm2
                      error        unreachable: nobody listens
                    """, ""));
            assertThat(daemon.received())
                    .containsExactly("{\"execute\":\"guest-check\",\"arguments\":{\"guest\":\"vm2\"}}");
        }
    }

    @Test
    void guestCheckIsZeroWithWarningsOnly() throws Exception {
        String problems = "[{\"code\":\"auto-converge\",\"severity\":\"warning\",\"text\":\"it freezes\"}]";
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-check", "{\"guest\":%s,\"problems\":%s}".formatted(VM, problems))
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "check", "vm1");
            assertThat(run.exitCode()).isZero();
            assertThat(run.out())
                    .contains("  warning      auto-converge: it freezes")
                    .endsWith("  result       nothing here stands in the way of a move\n");
        }
    }

    @Test
    void guestListAsJsonIsWhatTheDaemonSent() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-list", "[%s,%s]".formatted(DB, WEB01))
                .answering("guest-definitions", NO_DEFINITIONS)
                .answering("move-list", "[]")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "list", "--json");
            assertThat(run).isEqualTo(new CommandRun(0, "[%s,%s]\n".formatted(DB, WEB01), ""));
        }
    }

    @Test
    void guestShowHasALinePerFact() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-show", WEB01)
                .answering("guest-definitions", NO_DEFINITIONS)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "show", "web01");
            assertThat(run).isEqualTo(new CommandRun(0, """
                    web01
                      kind         process
                      state        running
                      uuid         b1f7
                      machine      pc-q35-7.2
                      ram          1.0 GiB
                      pid          4242
                      migration    -
                      block        pc.ram, 1.0 GiB in pages of 4.0 KiB
                      device       cpu 0, version 1, 120 bytes
                      device       timer 2, version 3
                      check        violations=0 note=fine
                    """, ""));
            assertThat(daemon.received()).contains("{\"execute\":\"guest-show\",\"arguments\":{\"guest\":\"web01\"}}");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "park,   guest-park,   web01 parked",
        "reclaim, guest-reclaim, web01 taken back",
        "remove, guest-remove, web01 removed",
        "stop,   stop,         web01 stopped",
        "cont,   cont,         web01 continued"
    })
    void guestVerbs(String verb, String command, String sentence) throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering(command, "{}").start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", verb, "web01");
            assertThat(run).isEqualTo(new CommandRun(0, sentence + "\n", ""));
            assertThat(daemon.received())
                    .containsExactly("{\"execute\":\"%s\",\"arguments\":{\"guest\":\"web01\"}}".formatted(command));
        }
    }

    @Test
    void aRefusalSaysWhatWasAskedWhatCameAndWhatToDo() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-show", UNKNOWN_GUEST)
                .answering("guest-definitions", NO_DEFINITIONS)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "show", "nope");
            assertThat(run).isEqualTo(new CommandRun(3, "", """
                    migrationctl: Guest 'nope' not found (DeviceNotFound)
                      asked: {"execute":"guest-show","arguments":{"guest":"nope"},"id":3}
                      next:  migrationctl guest list (shows the guests of this host)
                    """));
        }
    }

    @Test
    void aRefusalAsJsonIsOneDocument() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory).start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "guest", "list", "--json");
            assertThat(run.exitCode()).isEqualTo(3);
            assertThat(Json.parseObject(run.out()).object("error").orElseThrow().text("class"))
                    .contains("CommandNotFound");
            assertThat(Json.parseObject(run.out()).text("outcome")).contains("refused");
        }
    }

    @Test
    void noDaemonIsEightAndSaysHowToStartOne() {
        Path socket = directory.resolve("control.sock");
        assertThat(CommandRun.of(socket, "status")).isEqualTo(new CommandRun(8, "", """
                        migrationctl: daemon at %s: No such file or directory
                          next:  systemctl status migrationd, or start one with: migrationd serve --config FILE
                                 another socket: --socket PATH or MIGRATIOND_SOCKET
                        """.formatted(socket)));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            no command             |                                       | Missing required subcommand
            unknown command        | frobnicate                            | Unmatched argument at index 0: 'frobnicate'
            no guest verb          | guest                                 | Missing required subcommand
            unknown option         | guest list --fast                     | Unknown option: '--fast'
            no destination         | migrate web01                         | Missing required option: '--to=URI'
            destination with slash | migrate web01 --to tcp://b:1          | expected tcp:HOST:PORT or unix:PATH, not 'tcp://b:1'
            host alone             | migrate web01 --to hostB              | expected tcp:HOST:PORT or unix:PATH, not 'hostB'
            bad bandwidth          | migrate a --to tcp:b:1 --max-bandwidth 1X | expected a number of bytes such as 0, 64K, 100M or 1G, not '1X'
            bad policy             | migrate a --to tcp:b:1 --postcopy soon | Invalid value for option '--postcopy'
            preempt alone          | migrate a --to tcp:b:1 --preempt      | --preempt needs --postcopy
            preempt and never      | migrate a --to tcp:b:1 --postcopy never --preempt | --preempt needs --postcopy
            preempt of incoming    | incoming a --listen tcp:b:1 --preempt | --preempt needs --postcopy
            preempt of unpark      | unpark a --to tcp:b:1 --preempt       | --preempt needs --postcopy
            resume to nowhere      | resume web01                          | Missing required option: '--to=URI'
            recover at nowhere     | recover web01                         | Missing required option: '--listen=URI'
            bad capability         | migrate a --to tcp:b:1 --capability x=y | expected on or off, not 'y'
            setting without value  | set web01 max-bandwidth               | expected KEY=VALUE, not 'max-bandwidth'
            no settings            | set web01                             | Missing required parameter: 'KEY=VALUE'
            bad capability setting | set web01 cap:xbzrle=maybe            | cap:xbzrle: expected on or off, not 'maybe'
            raw without JSON       | raw hello                             | not a QMP command
            unknown shell          | completion fish                       | expected one of [BASH, ZSH]
            """)
    void wrongUsageIsTwo(String why, String line, String message) {
        String[] arguments = line == null ? new String[0] : line.split(" ", -1);
        CommandRun run = CommandRun.of(directory.resolve("none.sock"), arguments);
        assertThat(run.exitCode()).as(why).isEqualTo(2);
        assertThat(run.err()).startsWith("migrationctl: ").contains(message).contains("--help");
        assertThat(run.out()).isEmpty();
    }

    @Test
    void migrateSetsWhatWasAskedWaitsAndSaysWhereTheGuestIs() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("migrate-set-parameters", "{}")
                .answering(
                        "query-migrate",
                        "{\"status\":\"setup\"}",
                        MigrationTextTest.ACTIVE,
                        MigrationTextTest.COMPLETED)
                .answering("query-status", POSTMIGRATE)
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(),
                    "migrate",
                    "web01",
                    "--to=tcp:b:4444",
                    "--max-bandwidth=1G",
                    "--downtime-limit=500",
                    "--capability=xbzrle");
            assertThat(run).isEqualTo(new CommandRun(0, """
                    web01 is at the destination (tcp:b:4444)
                      total time   12.34 s
                      downtime     48 ms (stop 0.3, gate 0.0, last pass 22.1, device state 3.2, acknowledge 20.4)
                      passes       4
                      transferred  1.2 GiB (300000 normal and 120 zero pages)
                      throughput   99.6 MiB/s
                    """, """
                    web01 setup
                    web01 active: pass 2, 312.5 MiB of 1.0 GiB left, dirty 12.3 MiB/s, sending 950.3 MiB/s, downtime ~35 ms
                    """));
            assertThat(daemon.received())
                    .startsWith(
                            """
                    {"execute":"migrate-set-capabilities","arguments":{"guest":"web01","capabilities":[\
                    {"capability":"return-path","state":true},{"capability":"pause-before-switchover","state":false},\
                    {"capability":"postcopy-ram","state":false},{"capability":"postcopy-preempt","state":false},\
                    {"capability":"xbzrle","state":true}]}}""", """
                    {"execute":"migrate-set-parameters","arguments":{"guest":"web01","downtime-limit":500,\
                    "max-bandwidth":1073741824}}""",
                            """
                    {"execute":"migrate","arguments":{"guest":"web01","uri":"tcp:b:4444"}}""", """
                    {"execute":"query-migrate","arguments":{"guest":"web01"}}""");
        }
    }

    @Test
    void migrateOnATerminalWritesOneLineOverAndOver() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering(
                        "query-migrate",
                        "{\"status\":\"setup\"}",
                        MigrationTextTest.ACTIVE,
                        "{\"status\":\"cancelled\"}")
                .answering("query-status", RUNNING)
                .start()) {
            CommandRun run = CommandRun.of(true, 30, daemon.socket(), "migrate", "web01", "--to=tcp:b:4444");
            assertThat(run)
                    .isEqualTo(new CommandRun(
                            4,
                            "web01 is at the source (running): the migration was cancelled\n",
                            "\rweb01 setup\u001b[K\rweb01 active: pass 2, 312.5 M\u001b[K\n"));
        }
    }

    @Test
    void migrateAsJsonEndsWithOneDocument() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("query-migrate", "{\"status\":\"failed\",\"error-desc\":\"Connection refused\"}")
                .answering("query-status", RUNNING)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:4444", "--json");
            assertThat(run).isEqualTo(new CommandRun(1, """
                    {"guest":"web01","outcome":"failed-at-source","exit-code":1,"where":"source","message":\
                    "web01 is at the source (running): the migration failed: Connection refused","run-state":"running",\
                    "migration":{"status":"failed","error-desc":"Connection refused"}}
                    """, ""));
        }
    }

    @Test
    void migrateWithoutWaitReturnsWhenItHasStarted() throws Exception {
        try (FakeDaemon daemon = migrating().start()) {
            CommandRun run =
                    CommandRun.of(daemon.socket(), "migrate", "web01", "--to=unix:/x", "--no-wait", "--no-return-path");
            assertThat(run).isEqualTo(new CommandRun(0, "web01 has started to move to unix:/x\n", ""));
            assertThat(daemon.received().getFirst()).contains("{\"capability\":\"return-path\",\"state\":false}");
        }
    }

    @Test
    void migrateThatIsRefusedIsThree() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering(
                        "migrate",
                        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"There's a migration process in progress\"}}")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:4444");
            assertThat(run.exitCode()).isEqualTo(3);
            assertThat(run.err()).startsWith("migrationctl: There's a migration process in progress (GenericError)\n");
        }
    }

    @Test
    void migrateThatTakesTooLongIsNine() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("query-migrate", "{\"status\":\"active\"}")
                .answering("query-status", RUNNING)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:4444", "--timeout=1");
            assertThat(run)
                    .isEqualTo(new CommandRun(
                            9, "gave up waiting; the migration of web01 goes on (active)\n", "web01 active\n"));
        }
    }

    @Test
    void aDaemonThatDiesMeanwhileIsEight() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("query-migrate", "{\"status\":\"active\"}", FakeDaemon.HANG_UP)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:4444");
            assertThat(run.exitCode()).isEqualTo(8);
            assertThat(run.err()).contains("it closed the connection");
        }
    }

    @Test
    void migrateWithTheGateSaysHowToOpenIt() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("query-migrate", "{\"status\":\"pre-switchover\"}", MigrationTextTest.COMPLETED)
                .answering("query-status", POSTMIGRATE)
                .start()) {
            CommandRun run =
                    CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:1", "--pause-before-switchover");
            assertThat(run.exitCode()).isZero();
            assertThat(run.err()).isEqualTo("""
                    web01 stands still before the switchover; go on with: migrationctl continue web01
                    web01 pre-switchover
                    """);
            assertThat(daemon.received().getFirst())
                    .contains("{\"capability\":\"pause-before-switchover\",\"state\":true}");
        }
    }

    @Test
    void migrateWithPostcopySetsItsCapabilitiesAndParameters() throws Exception {
        try (FakeDaemon daemon =
                migrating().answering("migrate-set-parameters", "{}").start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(),
                    "migrate",
                    "web01",
                    "--to=tcp:b:1",
                    "--no-wait",
                    "--postcopy=after-first-pass",
                    "--preempt",
                    "--max-postcopy-bandwidth=1M",
                    "--postcopy-budget=2000");
            assertThat(run.exitCode()).isZero();
            assertThat(daemon.received()).containsExactly("""
                    {"execute":"migrate-set-capabilities","arguments":{"guest":"web01","capabilities":[\
                    {"capability":"return-path","state":true},{"capability":"pause-before-switchover","state":false},\
                    {"capability":"postcopy-ram","state":true},{"capability":"postcopy-preempt","state":true}]}}""", """
                    {"execute":"migrate-set-parameters","arguments":{"guest":"web01","max-postcopy-bandwidth":1048576,\
                    "postcopy-policy":"after-first-pass","postcopy-budget":2000}}""", """
                    {"execute":"migrate","arguments":{"guest":"web01","uri":"tcp:b:1"}}""");
        }
    }

    @ParameterizedTest
    @CsvSource({"never", "manual", "after-first-pass", "auto"})
    void everyPolicyHasItsNameInTheParameter(String policy) throws Exception {
        try (FakeDaemon daemon =
                migrating().answering("migrate-set-parameters", "{}").start()) {
            CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:1", "--no-wait", "--postcopy", policy);
            boolean on = !policy.equals("never");
            assertThat(daemon.received().getFirst())
                    .contains("{\"capability\":\"postcopy-ram\",\"state\":%s}".formatted(on));
            assertThat(daemon.received().stream().filter(line -> line.contains("postcopy-policy")))
                    .hasSize(on ? 1 : 0)
                    .allMatch(line -> line.contains("\"postcopy-policy\":\"%s\"".formatted(policy)));
        }
    }

    @Test
    void waitingThatEndsInAPauseIsSixAndSaysWhy() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("query-migrate", MigrationTextTest.PAUSED)
                .answering("query-status", POSTMIGRATE)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "migrate", "web01", "--to=tcp:b:4444", "--timeout=1");
            assertThat(run.exitCode()).isEqualTo(6);
            assertThat(run.out())
                    .startsWith("web01 waits for its migration to reconnect (postcopy-paused):"
                            + " Connection reset by peer; attempts to reconnect: 3\n");
            assertThat(run.err()).isEqualTo("""
                    web01 has lost its connection; it runs at the destination as far as its memory is there
                    web01 postcopy-paused: Connection reset by peer; attempts to reconnect: 3, 1.0 MiB of 2.0 MiB left
                    """);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "start-postcopy, migrate-start-postcopy, web01 goes over to postcopy",
        "pause,          migrate-pause,          the postcopy of web01 is paused"
    })
    void verbsOfPostcopy(String verb, String command, String sentence) throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering(command, "{}").start()) {
            CommandRun run = CommandRun.of(daemon.socket(), verb, "web01");
            assertThat(run).isEqualTo(new CommandRun(0, sentence + "\n", ""));
            assertThat(daemon.received())
                    .containsExactly("{\"execute\":\"%s\",\"arguments\":{\"guest\":\"web01\"}}".formatted(command));
        }
    }

    @Test
    void resumeGoesOnAndWaitsForTheEnd() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("migrate", "{}")
                .answering(
                        "query-migrate",
                        "{\"status\":\"postcopy-recover-setup\"}",
                        "{\"status\":\"postcopy-active\"}",
                        "{\"status\":\"completed\"}")
                .answering("query-status", POSTMIGRATE)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "resume", "web01", "--to=tcp:b:2");
            assertThat(run).isEqualTo(new CommandRun(0, "web01 is at the destination (tcp:b:2)\n", """
                    web01 postcopy-recover-setup
                    web01 postcopy-active
                    """));
            assertThat(daemon.received().getFirst())
                    .isEqualTo(
                            "{\"execute\":\"migrate\",\"arguments\":{\"guest\":\"web01\",\"uri\":\"tcp:b:2\",\"resume\":true}}");
        }
    }

    @Test
    void recoverPrintsTheAddress() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("migrate-recover", "{}")
                .answering(
                        "query-migrate",
                        "{\"status\":\"postcopy-paused\",\"socket-address\":[{\"type\":\"inet\",\"host\":\"127.0.0.1\",\"port\":\"40002\"}]}")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "recover", "web01", "--listen", "tcp:127.0.0.1:0");
            assertThat(run).isEqualTo(new CommandRun(0, "listening tcp:127.0.0.1:40002\n", ""));
            assertThat(daemon.received().getFirst()).isEqualTo("""
                            {"execute":"migrate-recover","arguments":{"guest":"web01","uri":"tcp:127.0.0.1:0"}}""");
        }
    }

    @Test
    void unparkWithPostcopyStartsAtOnce() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("migrate-set-parameters", "{}")
                .answering("migrate-start-postcopy", "{}")
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(), "unpark", "web01", "--to=unix:/q", "--postcopy", "--preempt", "--no-wait");
            assertThat(run).isEqualTo(new CommandRun(0, "web01 has started to move to unix:/q\n", ""));
            assertThat(daemon.received()).containsExactly("""
                    {"execute":"migrate-set-capabilities","arguments":{"guest":"web01","capabilities":[\
                    {"capability":"return-path","state":true},{"capability":"pause-before-switchover","state":false},\
                    {"capability":"postcopy-ram","state":true},{"capability":"postcopy-preempt","state":true}]}}""", """
                    {"execute":"migrate-set-parameters","arguments":{"guest":"web01","max-bandwidth":0,\
                    "max-postcopy-bandwidth":0,"postcopy-policy":"manual"}}""", """
                    {"execute":"migrate","arguments":{"guest":"web01","uri":"unix:/q"}}""", """
                    {"execute":"migrate-start-postcopy","arguments":{"guest":"web01"}}""");
        }
    }

    @Test
    void unparkThatFailedBeforeItCouldStartSaysWhyItFailed() throws Exception {
        try (FakeDaemon daemon = migrating()
                .answering("migrate-set-parameters", "{}")
                .answering(
                        "migrate-start-postcopy",
                        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no migration\"}}")
                .answering("query-migrate", "{\"status\":\"failed\",\"error-desc\":\"Connection refused\"}")
                .answering("query-status", "{\"status\":\"paused\"}")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "unpark", "web01", "--to=unix:/q", "--postcopy");
            assertThat(run.exitCode()).isEqualTo(1);
            assertThat(run.out()).contains("the migration failed: Connection refused");
        }
    }

    @Test
    void unparkWithoutPostcopyIsAMigration() throws Exception {
        try (FakeDaemon daemon =
                migrating().answering("migrate-set-parameters", "{}").start()) {
            CommandRun.of(daemon.socket(), "unpark", "web01", "--to=unix:/q", "--no-wait", "--max-bandwidth=1K");
            assertThat(daemon.received()).hasSize(3);
            assertThat(daemon.received().get(1)).contains("\"max-bandwidth\":1024,\"max-postcopy-bandwidth\":1024");
        }
    }

    @Test
    void incomingWithPostcopySetsItsCapabilities() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("migrate-set-capabilities", "{}")
                .answering("migrate-incoming", "{}")
                .answering("query-migrate", "{\"status\":\"setup\",\"socket-address\":[\"unix:/x\"]}")
                .start()) {
            CommandRun run =
                    CommandRun.of(daemon.socket(), "incoming", "web01", "--listen=unix:/x", "--postcopy", "--preempt");
            assertThat(run.exitCode()).isZero();
            assertThat(daemon.received().getFirst()).isEqualTo("""
                    {"execute":"migrate-set-capabilities","arguments":{"guest":"web01","capabilities":[\
                    {"capability":"postcopy-ram","state":true},{"capability":"postcopy-preempt","state":true}]}}""");
        }
    }

    @Test
    void statusOfAPausedGuestShowsThePauseAndThePagesByCause() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("query-status", POSTMIGRATE)
                .answering("query-migrate", MigrationTextTest.PAUSED)
                .answering("query-migrate-parameters", "{\"postcopy-policy\":\"auto\"}")
                .answering("query-migrate-capabilities", "[]")
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "status", "web01")).isEqualTo(new CommandRun(0, """
                    web01 postmigrate
                      migration    postcopy-paused
                      progress     web01 postcopy-paused: Connection reset by peer; attempts to reconnect: 3, 1.0 MiB of 2.0 MiB left
                      postcopy     12 requests; 12 urgent, 34 near and 56 background pages
                      recovery     detect 5000.0, reconnect 20.1, resync 2.0, first page 0.4 (ms), 1 attempts, after: silence
                      recovery     detect 0.1, reconnect -, resync -, first page - (ms), 3 attempts, after: Connection reset by peer
                      capabilities none
                      parameters   postcopy-policy=auto
                    """, ""));
        }
    }

    @Test
    void continueNamesTheStateThatItExpects() throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering("migrate-continue", "{}").start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "continue", "web01");
            assertThat(run).isEqualTo(new CommandRun(0, "web01 continues its migration\n", ""));
            assertThat(daemon.received()).containsExactly("""
                            {"execute":"migrate-continue","arguments":{"guest":"web01","state":"pre-switchover"}}""");
        }
    }

    @Test
    void incomingPrintsThePortThatTheKernelChose() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-park", "{}")
                .answering("migrate-incoming", "{}")
                .answering(
                        "query-migrate",
                        "{}",
                        "{\"status\":\"setup\",\"socket-address\":[{\"type\":\"inet\",\"host\":\"127.0.0.1\",\"port\":\"40001\"}]}")
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(), "incoming", "web01", "--park", "--listen", "tcp:127.0.0.1:0", "--json");
            assertThat(run)
                    .isEqualTo(new CommandRun(0, "{\"guest\":\"web01\",\"listening\":\"tcp:127.0.0.1:40001\"}\n", ""));
            assertThat(daemon.received())
                    .startsWith("{\"execute\":\"guest-park\",\"arguments\":{\"guest\":\"web01\"}}", """
                            {"execute":"migrate-incoming","arguments":{"guest":"web01","uri":"tcp:127.0.0.1:0"}}""");
        }
    }

    @Test
    void incomingThatIsRefusedRemovesTheGuestThatItParked() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-park", "{}")
                .answering("guest-remove", "{}")
                .answering(
                        "migrate-incoming", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Address in use\"}}")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "incoming", "web01", "--park", "--listen=tcp:127.0.0.1:1");
            assertThat(run.exitCode()).isEqualTo(3);
            assertThat(daemon.received().getLast())
                    .isEqualTo("{\"execute\":\"guest-remove\",\"arguments\":{\"guest\":\"web01\"}}");
        }
    }

    @Test
    void incomingWithWaitSaysThatTheGuestHasArrived() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("migrate-incoming", "{}")
                .answering(
                        "query-migrate",
                        "{\"status\":\"setup\",\"socket-address\":[\"unix:/x\"]}",
                        "{\"status\":\"active\"}",
                        "{\"status\":\"completed\"}")
                .answering("query-status", RUNNING)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "incoming", "web01", "--listen=unix:/x", "--wait");
            assertThat(run)
                    .isEqualTo(new CommandRun(0, "listening unix:/x\nweb01 has arrived (running)\n", "web01 active\n"));
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            in time           | {"status":"cancelled"}               | running     | 0 | web01 is at the source (running): the migration was cancelled
            too late          | {"status":"completed"}               | postmigrate | 5 | too late to cancel: web01 is at the destination
            failed on its own | {"status":"failed","error-desc":"x"} | running     | 1 | web01 is at the source (running): the migration failed: x
            """)
    void cancelWithWait(String why, String end, String runState, int exitCode, String sentence) throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("query-migrate", "{\"status\":\"active\"}", "{\"status\":\"cancelling\"}", end)
                .answering("migrate_cancel", "{}")
                .answering("query-status", "{\"status\":\"%s\"}".formatted(runState))
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "cancel", "web01", "--wait");
            assertThat(run).as(why).isEqualTo(new CommandRun(exitCode, sentence + "\n", "web01 cancelling\n"));
        }
    }

    @Test
    void cancelOfNothingAsksForNothing() throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering("query-migrate", "{}").start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "cancel", "web01", "--json");
            assertThat(run)
                    .isEqualTo(new CommandRun(0, "{\"guest\":\"web01\",\"outcome\":\"nothing-to-cancel\"}\n", ""));
            assertThat(daemon.received()).hasSize(1);
        }
    }

    @Test
    void setSendsParametersAndCapabilitiesAndShowsWhatHolds() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("migrate-set-capabilities", "{}")
                .answering("migrate-set-parameters", "{}")
                .answering("query-migrate-parameters", "{\"max-bandwidth\":104857600,\"downtime-limit\":500}")
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(), "set", "web01", "max-bandwidth=100M", "downtime-limit=500", "cap:xbzrle=off");
            assertThat(run).isEqualTo(new CommandRun(0, """
                      max-bandwidth  104857600
                      downtime-limit 500
                    """, ""));
            assertThat(daemon.received()).containsExactly("""
                    {"execute":"migrate-set-capabilities","arguments":{"guest":"web01","capabilities":[\
                    {"capability":"xbzrle","state":false}]}}""", """
                    {"execute":"migrate-set-parameters","arguments":{"guest":"web01","max-bandwidth":104857600,\
                    "downtime-limit":500}}""", """
                    {"execute":"query-migrate-parameters","arguments":{"guest":"web01"}}""");
        }
    }

    @Test
    void statusShowsTheDaemonAndItsGuests() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("daemon-status", "{\"version\":\"0.1.0\",\"pid\":7}")
                .answering("guest-list", "[%s]".formatted(WEB01))
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "status")).isEqualTo(new CommandRun(0, """
                    migrationd
                      version 0.1.0
                      pid     7
                    NAME   KIND     STATE    RAM      PID   MIGRATION
                    web01  process  running  1.0 GiB  4242  -
                    """, ""));
        }
    }

    @Test
    void statusOfAGuestShowsItsMigrationAndLimits() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("query-status", RUNNING)
                .answering("query-migrate", MigrationTextTest.ACTIVE)
                .answering("query-migrate-parameters", "{\"downtime-limit\":300}")
                .answering("query-migrate-capabilities", """
                        [{"capability":"return-path","state":true},{"capability":"xbzrle","state":false}]""")
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "status", "web01")).isEqualTo(new CommandRun(0, """
                    web01 running
                      migration    active
                      progress     web01 active: pass 2, 312.5 MiB of 1.0 GiB left, dirty 12.3 MiB/s, sending 950.3 MiB/s, downtime ~35 ms
                      capabilities return-path
                      parameters   downtime-limit=300
                    """, ""));
        }
    }

    @Test
    void watchShowsEventsAndProgressUntilTheStatusThatWasNamed() throws Exception {
        String events = """
                {"event":"RESUME","data":{"guest":"other"},"timestamp":{"seconds":1,"microseconds":0}}
                {"event":"MIGRATION","data":{"guest":"web01","status":"completed"},"timestamp":{"seconds":2,"microseconds":5}}
                """;
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("query-migrate", events + MigrationTextTest.ACTIVE, MigrationTextTest.COMPLETED)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "watch", "web01", "--until", "completed");
            assertThat(run)
                    .isEqualTo(
                            new CommandRun(0, "1970-01-01T00:00:02.000005Z web01 MIGRATION status=completed\n", """
                    web01 active: pass 2, 312.5 MiB of 1.0 GiB left, dirty 12.3 MiB/s, sending 950.3 MiB/s, downtime ~35 ms
                    """));
        }
    }

    @Test
    void watchEndsWithTheOutcomeWhenAMigrationEndsInAnotherWay() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("guest-list", "[%s,%s]".formatted(DB, WEB01))
                .answering("query-migrate", "{\"status\":\"setup\"}", "{\"status\":\"cancelled\"}")
                .answering("query-status", RUNNING)
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "watch", "--until", "completed", "--json");
            assertThat(run)
                    .isEqualTo(new CommandRun(4, "{\"guest\":\"db\",\"migration\":{\"status\":\"setup\"}}\n", ""));
        }
    }

    @Test
    void watchGivesUpInTime() throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering("guest-list", "[]").start()) {
            assertThat(CommandRun.of(daemon.socket(), "watch", "--timeout", "1"))
                    .isEqualTo(new CommandRun(9, "", ""));
        }
    }

    @Test
    void rawPrintsTheReplyAsItCame() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("query-status", "{\"status\": \"running\"}")
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(),
                    "raw",
                    "{\"execute\": \"query-status\",\n\"arguments\": {\"guest\": \"web01\"}, \"id\": [1]}");
            assertThat(run).isEqualTo(new CommandRun(0, "{\"return\": {\"status\": \"running\"}, \"id\": [1]}\n", ""));
            assertThat(daemon.receivedLines().getLast())
                    .isEqualTo("{\"execute\":\"query-status\",\"arguments\":{\"guest\":\"web01\"},\"id\":[1]}");
        }
    }

    @Test
    void rawPrintsARefusalAndIsThree() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory).start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "raw", "{\"execute\": \"nope\"}");
            assertThat(run.exitCode()).isEqualTo(3);
            assertThat(run.out()).startsWith("{\"error\": {\"class\": \"CommandNotFound\"");
        }
    }

    @ParameterizedTest
    @CsvSource({"bash,#!/usr/bin/env bash", "zsh,autoload -U +X compinit && compinit"})
    void completionIsAScript(String shell, String firstLine) {
        CommandRun run = CommandRun.of(directory.resolve("none.sock"), "completion", shell);
        assertThat(run.exitCode()).isZero();
        assertThat(run.out()).startsWith(firstLine).contains("--max-bandwidth").contains("complete -F");
    }

    private FakeDaemon migrating() throws Exception {
        return FakeDaemon.at(directory)
                .answering("migrate-set-capabilities", "{}")
                .answering("migrate", "{}");
    }
}
