package io.migrationd.migrationd.move;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.move.ModelWorld.Setting;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Runs the real machines under every interleaving with every fault: docs/ownership.md. Deeper with
 * {@code -Dmigrationd.model.faults=2} (or 3: hours and gigabytes).
 */
@DisplayName("Ownership by exhaustive search")
class OwnershipModelTest {
    private static final int FAULTS = Integer.getInteger("migrationd.model.faults", 1);
    private static final boolean HANGS = Boolean.parseBoolean(System.getProperty("migrationd.model.hangs", "true"));
    private static final int DEPTH = Integer.getInteger("migrationd.model.depth", 200);

    @ParameterizedTest(name = "{0}, 7.2: {1}")
    @CsvSource({"PRECOPY, true", "PRECOPY, false", "POSTCOPY, true", "POSTCOPY, false"})
    void neverTwoNeverNoneAlwaysToRest(MovePlan.Mode mode, boolean old) {
        Setting setting = new Setting(
                new MovePlan(mode, true, 1), old, HANGS, FAULTS, true, SourceMachine::step, TargetMachine::step);
        Map<SourcePhase, Set<TargetPhase>> seen = new EnumMap<>(SourcePhase.class);

        ModelChecker.Result result = new ModelChecker(setting, DEPTH, ModelRules::violation, world -> {
                    seen.computeIfAbsent(world.source.phase(), p -> EnumSet.noneOf(TargetPhase.class))
                            .add(world.target.phase());
                    assertThat(MoveCodec.decodeSource(MoveCodec.encode(world.sourceJournal)))
                            .isEqualTo(world.sourceJournal);
                    assertThat(MoveCodec.decodeTarget(MoveCodec.encode(world.targetJournal)))
                            .isEqualTo(world.targetJournal);
                })
                .search();

        System.out.printf("%s, %s, %d faults: %s%n", mode, old ? "7.2" : "10.0", FAULTS, result);
        assertThat(result.violation()).isEmpty();
        assertThat(result.complete()).isTrue();
        assertThat(seen.keySet()).contains(SourcePhase.CLOSING, SourcePhase.ABORTING, SourcePhase.ENDED);
    }

    @ParameterizedTest(name = "{0}")
    @EnumSource(ModelMutants.class)
    void findsARuleBrokenOnPurpose(ModelMutants mutant) {
        // With one fault and no mutant the search above finds nothing, so what is found here is the mutant's.
        Setting setting = new Setting(
                new MovePlan(MovePlan.Mode.POSTCOPY, true, 1), false, true, 1, false, mutant.source(), mutant.target());

        ModelChecker.Result result = new ModelChecker(setting, DEPTH, ModelRules::violation, w -> {}).search();

        System.out.printf("%s: %s%n%s%n", mutant, result, result.violation().orElse("not found"));
        assertThat(result.violation()).isPresent();
    }
}
