package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.migrationd.qmp.Json;
import java.util.Arrays;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.Command;

@DisplayName("Where the guest is, as an exit code")
class OutcomeTest {
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            completed                 | {"status":"completed"}                     | postmigrate    | 0 | destination | web01 is at the destination (tcp:b:1)
            completed with a warning  | {"status":"completed","error-desc":"late"} | postmigrate    | 5 | destination | web01 is at the destination (tcp:b:1), but: late
            completed, runs here too  | {"status":"completed"}                     | running        | 5 | destination | web01 is at the destination (tcp:b:1), but its copy here is running instead of postmigrate: make sure that it does not run twice
            failed                    | {"status":"failed","error-desc":"refused"} | running        | 1 | source      | web01 is at the source (running): the migration failed: refused
            failed, was stopped       | {"status":"failed"}                        | paused         | 1 | source      | web01 is at the source (paused): the migration failed: the daemon gave no reason
            failed after handing over | {"status":"failed","error-desc":"no SHUT"} | postmigrate    | 5 | destination | web01 was handed over to the destination (tcp:b:1), which did not confirm it; look there: no SHUT
            failed, stands still      | {"status":"failed","error-desc":"cut"}     | finish-migrate | 7 | unknown     | web01 is finish-migrate at the source and not known to run at the destination (tcp:b:1): cut
            failed, process is gone   | {"status":"failed","error-desc":"killed"}  | shutdown       | 7 | unknown     | web01 is shutdown at the source and not known to run at the destination (tcp:b:1): killed
            cancelled                 | {"status":"cancelled"}                     | running        | 4 | source      | web01 is at the source (running): the migration was cancelled
            gave up waiting           | {"status":"active"}                        | running        | 9 | unknown     | gave up waiting; the migration of web01 goes on (active)
            gave up while paused      | {"status":"postcopy-paused"}               | postmigrate    | 6 | unknown     | web01 waits for its migration to reconnect (postcopy-paused)
            paused, cause known       | {"status":"postcopy-paused","postcopy":{"recoveries":[{"cause":"x"},{"cause":"cut","attempts":2}]}} | postmigrate | 6 | unknown | web01 waits for its migration to reconnect (postcopy-paused): cut; attempts to reconnect: 2
            gave up while recovering  | {"status":"postcopy-recover"}              | postmigrate    | 6 | unknown     | web01 waits for its migration to reconnect (postcopy-recover)
            """)
    void ofOutgoing(String why, String migration, String runState, int exitCode, String where, String sentence)
            throws JsonParseException {
        Outcome outcome =
                Outcome.ofOutgoing("web01", new MigrationView(Json.parseObject(migration)), runState, "tcp:b:1");
        assertThat(outcome.code().code()).as(why).isEqualTo(exitCode);
        assertThat(outcome.where()).isEqualTo(where);
        assertThat(outcome.sentence()).isEqualTo(sentence);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            arrived                | {"status":"completed"}                     | running   | 0 | here    | web01 has arrived (running)
            arrived with a warning | {"status":"completed","error-desc":"late"} | running   | 5 | here    | web01 has arrived (running), but: late
            failed                 | {"status":"failed","error-desc":"cut"}     | inmigrate | 1 | source  | web01 did not arrive and stays at the source: cut
            cancelled              | {"status":"cancelled"}                     | inmigrate | 4 | source  | web01 did not arrive and stays at the source: the migration was cancelled
            gave up waiting        | {"status":"setup"}                         | inmigrate | 9 | unknown | gave up waiting; the migration of web01 goes on (setup)
            gave up while paused   | {"status":"postcopy-paused"}               | running   | 6 | unknown | web01 waits for its migration to reconnect (postcopy-paused)
            """)
    void ofIncoming(String why, String migration, String runState, int exitCode, String where, String sentence)
            throws JsonParseException {
        Outcome outcome = Outcome.ofIncoming("web01", new MigrationView(Json.parseObject(migration)), runState);
        assertThat(outcome.code().code()).as(why).isEqualTo(exitCode);
        assertThat(outcome.where()).isEqualTo(where);
        assertThat(outcome.sentence()).isEqualTo(sentence);
    }

    /** Numbers and meanings of architecture, section 8: scripts depend on them. */
    @Test
    void theHelpListsEveryExitCode() {
        String[] inHelp = MigrationctlMain.class.getAnnotation(Command.class).exitCodeList();
        assertThat(Arrays.stream(ExitCode.values())
                        .map(code -> code.code() + ":" + code.meaning())
                        .collect(Collectors.toList()))
                .containsExactly(inHelp)
                .hasSize(10);
    }
}
