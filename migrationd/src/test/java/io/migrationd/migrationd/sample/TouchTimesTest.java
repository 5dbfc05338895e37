package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TouchTimesTest {
    @ParameterizedTest
    @ValueSource(longs = {0, 1, 15, 16, 17, 31, 32, 1000, 20_001, 123_456_789, Long.MAX_VALUE})
    void aBucketIsAtMostASixteenthWide(long nanos) {
        int bucket = TouchTimes.bucket(nanos);
        long lower = TouchTimes.lowerBound(bucket);

        assertThat(lower).isLessThanOrEqualTo(nanos);
        assertThat(nanos - lower).isLessThanOrEqualTo(nanos / 16);
        assertThat(TouchTimes.bucket(lower)).isEqualTo(bucket);
    }

    @Test
    void percentilesAreOfThoseThatWaited() {
        TouchTimes one = new TouchTimes();
        TouchTimes other = new TouchTimes();
        for (int i = 0; i < 1000; i++) {
            one.add(500);
        }
        for (int i = 1; i <= 99; i++) {
            one.add(65_536);
        }
        other.add(8_192_000);

        assertThat(TouchTimes.report(List.of(one, other)))
                .isEqualTo(Map.of(
                        "count", 1100L, "waits", 100L, "p50-micros", 65L, "p99-micros", 65L, "max-micros", 8192L));
    }

    @Test
    void nothingWaitedIsZero() {
        assertThat(TouchTimes.report(List.of(new TouchTimes())))
                .isEqualTo(Map.of("count", 0L, "waits", 0L, "p50-micros", 0L, "p99-micros", 0L, "max-micros", 0L));
    }
}
