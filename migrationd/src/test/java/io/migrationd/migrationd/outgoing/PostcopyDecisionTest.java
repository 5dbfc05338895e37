package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import java.util.Arrays;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("When to go over to postcopy")
class PostcopyDecisionTest {
    /** Looks in a row, each {@code dirty rate/bandwidth}; the link is unmeasured at 0. */
    @ParameterizedTest(name = "{0}, {1} ms, looks {2}: {3}")
    @CsvSource(delimiter = '|', textBlock = """
        NEVER            | 0     | 9/1 9/1 9/1 9/1     | false
        MANUAL           | 0     | 9/1 9/1 9/1 9/1     | false
        AFTER_FIRST_PASS | 0     | 0/9                 | true
        AUTO             | 0     | 9/1 9/1             | false
        AUTO             | 0     | 9/1 9/1 9/1         | true
        AUTO             | 0     | 5/5 5/5 5/5         | true
        AUTO             | 0     | 9/1 9/1 1/9 9/1 9/1 | false
        AUTO             | 0     | 9/0 9/0 9/0 9/0     | false
        AUTO             | 999   | 1/9                 | false
        AUTO             | 1000  | 1/9                 | true
        """)
    void isDue(PostcopyPolicy policy, long elapsedMillis, String looks, boolean due) {
        PostcopyDecision decision = new PostcopyDecision();
        long pass = 1;
        boolean last = false;
        for (String look : looks.split(" ", -1)) {
            int[] rates = Arrays.stream(look.split("/", -1))
                    .mapToInt(Integer::parseInt)
                    .toArray();
            pass++;
            last = decision.isDue(parameters(policy), true, pass, rates[0], rates[1], elapsedMillis);
            // Between two looks nothing new is known.
            assertThat(decision.isDue(parameters(policy), true, pass, rates[0], rates[1], elapsedMillis))
                    .isEqualTo(last);
        }
        assertThat(last).isEqualTo(due);
        assertThat(new PostcopyDecision().isDue(parameters(policy), false, 1, 9, 1, 1_000_000))
                .as("within the first pass")
                .isFalse();
    }

    private static MigrationParameters parameters(PostcopyPolicy policy) {
        return PostcopyFixture.with(0, policy, 1_000);
    }
}
