package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Rate limiter")
class RateLimiterTest {
    private static final long MILLI = 1_000_000;
    private static final long START = 7_000_000_000L;
    private final RateLimiter limiter = new RateLimiter(START);

    @Test
    void aTenthOfARateMayGoInAWindow() {
        assertThat(limiter.left(1000, 0)).isEqualTo(100);
        assertThat(limiter.delayNanos(START, 1000, 99)).isZero();
        assertThat(limiter.left(1000, 99)).isEqualTo(1);
        assertThat(limiter.delayNanos(START, 1000, 100)).isEqualTo(100 * MILLI);
        assertThat(limiter.left(1000, 100)).isZero();
    }

    @Test
    void waitsForTheEndOfTheWindow() {
        assertThat(limiter.delayNanos(START + 30 * MILLI, 1000, 100)).isEqualTo(70 * MILLI);
        assertThat(limiter.delayNanos(START + 99 * MILLI, 1000, 100)).isEqualTo(MILLI);
        assertThat(limiter.delayNanos(START + 100 * MILLI, 1000, 100)).isZero();
        assertThat(limiter.left(1000, 100)).isEqualTo(100);
    }

    @Test
    void whatWentTooFarIsTakenOffTheNextWindows() {
        assertThat(limiter.delayNanos(START, 1000, 350)).isEqualTo(100 * MILLI);
        assertThat(limiter.delayNanos(START + 100 * MILLI, 1000, 350)).isEqualTo(100 * MILLI);
        assertThat(limiter.delayNanos(START + 250 * MILLI, 1000, 350)).isEqualTo(50 * MILLI);
        assertThat(limiter.delayNanos(START + 300 * MILLI, 1000, 350)).isZero();
        assertThat(limiter.left(1000, 350)).isEqualTo(50);
    }

    @Test
    void whatWasNotUsedIsNotSaved() {
        assertThat(limiter.delayNanos(START + 1000 * MILLI, 1000, 10)).isZero();
        assertThat(limiter.left(1000, 10)).isEqualTo(100);
    }

    @Test
    void anyRateIsPossible() {
        assertThat(limiter.delayNanos(START + 2000 * MILLI, Long.MAX_VALUE, Long.MAX_VALUE))
                .isZero();
        assertThat(limiter.left(Long.MAX_VALUE, Long.MAX_VALUE)).isEqualTo(Long.MAX_VALUE / 10);
    }

    @Test
    void anOverrunIsNotCountedBelowZero() {
        assertThat(limiter.left(1000, 500)).isZero();
    }

    @Test
    void zeroIsUnlimited() {
        assertThat(limiter.left(0, 1L << 40)).isEqualTo(Long.MAX_VALUE);
        assertThat(limiter.delayNanos(START, 0, 1L << 40)).isZero();
    }

    @Test
    void theSlowestRateStillMoves() {
        assertThat(limiter.left(1, 0)).isEqualTo(1);
        assertThat(limiter.delayNanos(START, 9, 0)).isZero();
        assertThat(limiter.delayNanos(START, 9, 1)).isEqualTo(100 * MILLI);
    }

    @Test
    void aNewRateHoldsAtOnce() {
        assertThat(limiter.delayNanos(START, 1000, 100)).isPositive();
        assertThat(limiter.delayNanos(START, 2000, 100)).isZero();
        assertThat(limiter.left(2000, 100)).isEqualTo(100);
    }
}
