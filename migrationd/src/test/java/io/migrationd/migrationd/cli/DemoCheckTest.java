package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.migrationd.qmp.Json;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Verdict of the demo")
class DemoCheckTest {
    private static final MigrationView COMPLETED = view("{\"status\":\"completed\"}");
    private static final String CLEAN = "{\"violations\":0,\"verified\":true,\"pages\":65536,\"operations\":11}";

    @Test
    void nothingSpeaksAgainstACleanMove() {
        assertThat(DemoCheck.problems(COMPLETED, "postmigrate", "running", false, 10, check(CLEAN)))
                .isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            runs at both          | running     | running   | 0 | {"violations":0,"verified":true,"operations":1}  | the guest runs at the source
            does not run          | postmigrate | inmigrate | 0 | {"violations":0,"verified":true,"operations":1}  | the guest is inmigrate at the destination
            wrong pages           | postmigrate | running   | 0 | {"violations":2,"verified":true,"operations":1}  | 2 pages of the guest do not hold what was written to them
            no report             | postmigrate | running   | 0 | {"verified":true,"operations":1}                 | the guest did not report on its memory
            pages not looked at   | postmigrate | running   | 0 | {"violations":0,"verified":false,"operations":1}    | not every page was verified at the destination
            stands still          | postmigrate | running   | 7 | {"violations":0,"verified":true,"operations":7}  | the guest did nothing after the move: 7 operations before, 7 after
            """)
    void oneProblemEach(
            String why, String sourceState, String destinationState, long before, String check, String problem) {
        assertThat(DemoCheck.problems(COMPLETED, sourceState, destinationState, false, before, check(check)))
                .as(why)
                .containsExactly(problem);
    }

    @Test
    void aSourceThatObeysIsAProblem() {
        assertThat(DemoCheck.problems(COMPLETED, "postmigrate", "running", true, 10, check(CLEAN)))
                .containsExactly("the source let its copy run again");
    }

    @ParameterizedTest(name = "{0}: {1}")
    @CsvSource(delimiter = '|', textBlock = """
            PRECOPY  | {"status":"completed"}                                  |
            POSTCOPY | {"status":"completed"}                                  | the migration was over before postcopy
            POSTCOPY | {"status":"completed","postcopy":{"requests":1}}        |
            RECOVERY | {"status":"completed","postcopy":{"recovery-count":1}}  | 1 recoveries and not 2
            RECOVERY | {"status":"completed","postcopy":{"recovery-count":2}}  |
            """)
    void whatWasToBeShownMustHaveHappened(DemoScenario scenario, String migration, @Nullable String problem) {
        MigrationView view = view(migration);
        DemoResult result =
                DemoResult.of(scenario, 1, "tcp:h:1", view, view, "postmigrate", "running", false, 10, check(CLEAN));
        assertThat(result.problems()).isEqualTo(problem == null ? List.of() : List.of(problem));
    }

    @Test
    void aFailedMigrationComesFirst() {
        List<String> problems = DemoCheck.problems(
                view("{\"status\":\"failed\",\"error-desc\":\"cut\"}"),
                "running",
                "inmigrate",
                true,
                3,
                DemoCheck.NONE);
        assertThat(problems).first().isEqualTo("the migration is failed: cut");
        assertThat(problems).hasSize(7);
    }

    private static DemoCheck check(String json) {
        try {
            return new DemoCheck(Json.parseObject(json));
        } catch (JsonParseException e) {
            throw new AssertionError(e);
        }
    }

    private static MigrationView view(String json) {
        return new MigrationView(check(json).report());
    }
}
