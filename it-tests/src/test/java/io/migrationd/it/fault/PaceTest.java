package io.migrationd.it.fault;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PaceTest {
    private static final long SECOND = 1_000_000_000;

    @ParameterizedTest(name = "{0} bytes/s")
    @ValueSource(longs = {1, 99, 1_000, 1_000_000, 10_000_000_000L})
    void passesTheRateOverTime(long bytesPerSecond) {
        var pace = new Pace(bytesPerSecond, 0);
        long now = 0;
        long passed = 0;
        while (now < 10 * SECOND) {
            long wait = pace.waitNanos(now);
            // A selector wakes up to a millisecond late.
            now += wait == 0 ? 0 : wait + 1_000_000;
            pace.spent(pace.burstBytes(), now);
            passed += pace.burstBytes();
        }

        assertThat((double) passed / bytesPerSecond).isBetween(9.9, 11.1);
    }

    @Test
    void doesNotSaveUpWhileIdle() {
        var pace = new Pace(1_000, 0);

        pace.spent(10, 60 * SECOND);
        assertThat(pace.waitNanos(60 * SECOND)).isZero();
        pace.spent(10, 60 * SECOND);
        assertThat(pace.waitNanos(60 * SECOND)).isEqualTo(SECOND / 100);
    }

    @Test
    void anUnlimitedOneNeverWaits() {
        var pace = new Pace(Pace.UNLIMITED, 0);
        pace.spent(Integer.MAX_VALUE, 0);

        assertThat(pace.waitNanos(0)).isZero();
        assertThat(pace.burstBytes()).isEqualTo(Integer.MAX_VALUE);
    }

    @Test
    void aRateIsPositive() {
        assertThatIllegalArgumentException().isThrownBy(() -> new Pace(0, 0)).withMessage("a rate of 0 bytes/s");
    }
}
