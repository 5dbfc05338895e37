package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.matrix.ChaosRun;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Postcopy migrations that break at random. {@code migrationd.chaos.rounds} and {@code migrationd.chaos.seed} are
 * system properties, {@code MIGRATIOND_CHAOS_ROUNDS} and {@code MIGRATIOND_CHAOS_SEED} the same in the environment.
 */
@DisplayName("Postcopy chaos")
@Timeout(value = 40, unit = TimeUnit.MINUTES)
class PostcopyChaosIT {
    private static final int LANES = 2;
    /** Of every build, so that one that fails can be tried again; bin/chaos takes others. */
    private static final long SEED = 20_261_123;

    @Test
    void everyGuestRunsOnceAndLosesNothing(@TempDir Path folder) {
        long seed = setting("seed", SEED);
        int rounds = (int) setting("rounds", 200);
        say("postcopy chaos: seed " + seed);
        ChaosRun.Summary summary = ChaosRun.run(seed, rounds, LANES, folder, PostcopyChaosIT::say);
        say(summary.toString());
        assertThat(summary.bad()).as(summary.toString()).isEmpty();
    }

    private static long setting(String name, long otherwise) {
        String environment = System.getenv("MIGRATIOND_CHAOS_" + name.toUpperCase(Locale.ROOT));
        String text = System.getProperty("migrationd.chaos." + name, environment);
        return text == null ? otherwise : Long.parseLong(text);
    }

    @SuppressWarnings("SystemOut") // For the log of the build.
    private static void say(String line) {
        System.out.println(line);
    }
}
