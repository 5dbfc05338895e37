package io.migrationd.migrationd.move;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.move.ModelWorld.Setting;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Ownership by exhaustive search")
class OwnershipModelTest {
    private static final int FAULTS = Integer.getInteger("migrationd.model.faults", 1);
    private static final int DEPTH = Integer.getInteger("migrationd.model.depth", 200);

    @ParameterizedTest(name = "{0}, 7.2: {1}")
    @CsvSource({"PRECOPY, true", "PRECOPY, false", "POSTCOPY, true", "POSTCOPY, false"})
    void neverTwoNeverNone(MovePlan.Mode mode, boolean old) {
        Setting setting = new Setting(
                new MovePlan(mode, true, 1), old, FAULTS, true, SourceMachine::step, TargetMachine::step);

        ModelChecker.Result result = new ModelChecker(setting, DEPTH, ModelRules::violation, w -> {}).search();

        System.out.printf("%s %s, %d faults: %s%n", mode, old ? "7.2" : "10.0", FAULTS, result);
        assertThat(result.violation()).isEmpty();
    }
}
