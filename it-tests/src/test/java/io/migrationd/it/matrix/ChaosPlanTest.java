package io.migrationd.it.matrix;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Step;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Random schedules and matrix rows")
class ChaosPlanTest {
    /** Nothing is done to anybody. */
    private static final class NoHands implements RoundPlan.Hands {
        @Override
        public void killSource() {}

        @Override
        public void killDestination() {}

        @Override
        public void strayConnection(byte[] bytes) {}

        @Override
        public void operator(RoundPlan.Order... orders) {}
    }

    private static List<String> script(RoundPlan plan) {
        return plan.script().apply(new NoHands()).stream().map(Step::toString).toList();
    }

    @Test
    void aSeedAlwaysGivesTheSamePlan() {
        for (long seed = 0; seed < 200; seed++) {
            RoundPlan plan = ChaosPlan.of("x", seed);
            assertThat(script(plan)).isNotEmpty().isEqualTo(script(plan)).isEqualTo(script(ChaosPlan.of("x", seed)));
        }
    }

    @Test
    void roundsOfOneSeedDiffer() {
        Set<Long> seeds = new HashSet<>();
        IntStream.range(0, 1000).forEach(round -> seeds.add(ChaosPlan.seedOf(7, round)));
        assertThat(seeds).hasSize(1000);
    }

    @Test
    void everyRowHasANameAndAScriptOfItsOwn() {
        List<MatrixRow> rows = MatrixRows.ofLink();
        assertThat(rows).extracting(MatrixRow::what).doesNotHaveDuplicates();
        assertThat(rows).extracting(row -> row.plan().name()).doesNotHaveDuplicates();
        assertThat(rows).allSatisfy(row -> assertThat(script(row.plan())).isNotEmpty());
    }
}
