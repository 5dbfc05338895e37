package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("migrationctl: moves")
class MoveCliTest {
    @TempDir
    private Path directory = Path.of("");

    private static String move(String phase, String more) {
        return """
                {"id":"5b2c","guest":"web01","role":"source","peer":"hostB","attempt":1,"phase":"%s",%s\
                "where":"destination","message":"web01 runs at hostB","started-at-millis":1,"elapsed-millis":2345,\
                "progress":{"total":1073741824,"remaining":1048576,"transferred":2147483648,"passes":3,"mbps":800.0,\
                "downtime-millis":120,"page-requests":0},"link-outages":2,"recoveries":1}""".formatted(phase, more);
    }

    @Test
    void aMoveEndsWithWhereTheGuestIs() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-start", move("preparing", ""))
                .answering("move-show", move("moving", ""), move("ended", "\"outcome\":\"moved\","))
                .start()) {
            CommandRun run = CommandRun.of(
                    daemon.socket(), "move", "web01", "--to", "hostB", "--postcopy", "when-stuck", "--preempt");
            assertThat(run.exitCode()).isZero();
            assertThat(run.out()).isEqualTo("""
                    web01 runs at hostB
                      total time   2.35 s
                      downtime     120 ms
                      transferred  2.0 GiB
                      passes       3
                      link         2 cuts survived, 1 recoveries of QEMU
                      report       migrationctl report 5b2c
                    """);
            assertThat(run.err()).contains("web01 moving: pass 3, 1.0 MiB of 1.0 GiB left, sending 95.4 MiB/s");
            assertThat(daemon.received().getFirst())
                    .isEqualTo("{\"execute\":\"move-start\",\"arguments\":{\"guest\":\"web01\",\"to\":\"hostB\","
                            + "\"postcopy\":\"when-stuck\",\"preempt\":true}}");
        }
    }

    @Test
    void aLinkThatIsDownIsSaid() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-start", move("preparing", ""))
                .answering(
                        "move-show",
                        move("moving", "\"link-down-millis\":1500,"),
                        move("ended", "\"outcome\":\"moved\","))
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "move", "web01", "--to", "hostB");
            assertThat(run.err())
                    .contains("web01: the link to the other host is down; both QEMUs are held, nothing is lost")
                    .contains("the link is down for 1.5 s, reconnecting")
                    .contains("web01: the link is up again");
        }
    }

    @Test
    void aMoveThatIsTriedAgainIsWaitedFor() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-start", move("preparing", ""))
                .answering(
                        "move-show",
                        move("ended", "\"outcome\":\"failed-at-source\",\"next-attempt-millis\":1900,"),
                        move("moving", ""),
                        move("ended", "\"outcome\":\"moved\","))
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "move", "web01", "--to", "hostB");
            assertThat(run.exitCode()).isZero();
            assertThat(run.err()).contains("web01 waits: attempt 1 has failed, the next one begins in 2 s");
        }
    }

    @ParameterizedTest(name = "{0} is exit code {1}")
    @CsvSource({"moved, 0", "failed-at-source, 1", "cancelled, 4", "moved-with-warning, 5", "lost, 7", "unsure, 7"})
    void outcomesAreExitCodes(String outcome, int code) throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-start", move("preparing", ""))
                .answering("move-show", move("ended", "\"outcome\":\"%s\",".formatted(outcome)))
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "move", "web01", "--to", "hostB")
                            .exitCode())
                    .isEqualTo(code);
        }
    }

    @Test
    void aCheckShowsEveryProblemAndIsThree() throws Exception {
        try (FakeDaemon daemon =
                FakeDaemon.at(directory).answering("move-check", """
                        {"possible":false,"problems":[{"code":"memory","severity":"error","text":"1 GiB is needed"},\
                        {"code":"certificate","severity":"warning","text":"expires in 3 days"}]}""").start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "check", "web01", "--to", "hostB");
            assertThat(run).isEqualTo(new CommandRun(3, """
                    web01 can't move to hostB:
                      error    memory                   1 GiB is needed
                      warning  certificate              expires in 3 days
                    """, ""));
        }
    }

    @Test
    void aDryRunIsACheck() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-check", "{\"possible\":true,\"problems\":[]}")
                .start()) {
            CommandRun run = CommandRun.of(daemon.socket(), "move", "web01", "--to", "hostB", "--dry-run");
            assertThat(run).isEqualTo(new CommandRun(0, "web01 can move to hostB\n", ""));
        }
    }

    @Test
    void movesAreListed() throws Exception {
        try (FakeDaemon daemon = FakeDaemon.at(directory)
                .answering("move-list", "[%s]".formatted(move("moving", "")))
                .start()) {
            assertThat(CommandRun.of(daemon.socket(), "moves", "list").out().lines())
                    .hasSize(2)
                    .last()
                    .asString()
                    .startsWith("web01")
                    .endsWith("under way");
        }
    }
}
