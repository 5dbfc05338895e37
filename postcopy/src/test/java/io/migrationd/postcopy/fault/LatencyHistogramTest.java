package io.migrationd.postcopy.fault;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Latency histogram")
class LatencyHistogramTest {
    @ParameterizedTest(name = "{0} ns")
    @CsvSource(delimiter = '|', textBlock = """
        -5                  |  0
        0                   |  0
        999                 |  0
        1_999               |  0
        2_000               |  1
        3_999               |  1
        4_000               |  2
        1_000_000           |  9
        1_023_999           |  9
        1_024_000           | 10
        8_388_607_999       | 22
        8_388_608_000       | 23
        9223372036854775807 | 23
        """)
    void bucketIsThePowerOfTwoOfMicroseconds(String nanos, int bucket) {
        LatencyHistogram histogram = new LatencyHistogram();
        histogram.record(Long.parseLong(nanos.replace("_", "")));
        assertThat(histogram.powerBuckets()).hasSize(24);
        assertThat(histogram.powerBuckets().get(bucket)).isEqualTo(1);
        assertThat(histogram.powerBuckets().stream().mapToLong(Long::longValue).sum())
                .isEqualTo(1);
    }

    @Test
    void nothingRecordedIsNothing() {
        LatencyHistogram histogram = new LatencyHistogram();
        assertThat(histogram.count()).isZero();
        assertThat(histogram.meanNanos()).isZero();
        assertThat(histogram.maxNanos()).isZero();
        assertThat(histogram.percentileNanos(0.99)).isZero();
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void percentilesAreRightToAThirtySecond(long seed) {
        Random random = new Random(seed);
        LatencyHistogram histogram = new LatencyHistogram();
        long[] values = new long[10_000];
        for (int i = 0; i < values.length; i++) {
            values[i] = random.nextLong(1L << (1 + random.nextInt(40)));
            histogram.record(values[i]);
        }
        Arrays.sort(values);
        for (double share : new double[] {0.01, 0.5, 0.9, 0.99, 1}) {
            long exact = values[(int) Math.ceil(share * values.length) - 1];
            assertThat(histogram.percentileNanos(share)).isBetween(exact, exact + exact / 32 + 1);
        }
        assertThat(histogram.maxNanos()).isEqualTo(values[values.length - 1]);
        assertThat(histogram.meanNanos())
                .isCloseTo((long) Arrays.stream(values).average().orElseThrow(), within(1L));
    }
}
