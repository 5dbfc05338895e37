package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Backoff")
class BackoffTest {
    private static List<Long> millis(Backoff backoff, int count) {
        return Stream.generate(backoff::nextNanos)
                .limit(count)
                .map(TimeUnit.NANOSECONDS::toMillis)
                .toList();
    }

    @Test
    void doublesUpToTheLimit() {
        RandomGenerator smallest = () -> 0L;

        assertThat(millis(new Backoff(1_000, smallest), 8)).containsExactly(0L, 25L, 50L, 100L, 200L, 400L, 500L, 500L);
        assertThat(millis(new Backoff(20, smallest), 3)).containsExactly(0L, 10L, 10L);
    }

    @Test
    void differsFromOneMigrationToTheNext() {
        Backoff backoff = new Backoff(1_000, new SplittableRandom(5));
        List<Long> waits = millis(backoff, 100).subList(10, 100);

        assertThat(waits).allSatisfy(wait -> assertThat(wait).isBetween(500L, 1_000L));
        assertThat(waits.stream().distinct()).hasSizeGreaterThan(50);
    }
}
