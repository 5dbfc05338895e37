package io.migrationd.it.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.stream.DoubleStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Series of samples")
class SeriesTest {
    private static final long TWO_GIB = 2L << 30;

    private static Series series(double... seconds) {
        Series series = new Series("daemon", TWO_GIB);
        DoubleStream.of(seconds).forEach(s -> series.add(new Sample(s, Map.of("source", s / 2, "destination", s / 4))));
        return series;
    }

    @Test
    void keepsTheColdSampleOutOfTheStatistics() {
        Series series = series(8, 1, 4, 2);

        assertThat(series.cold()).isEqualTo(0.25);
        assertThat(series.minimum()).isEqualTo(0.5);
        assertThat(series.median()).isEqualTo(1);
        assertThat(series.maximum()).isEqualTo(2);
    }

    @Test
    void takesTheMiddleOfTwo() {
        assertThat(series(8, 1, 2).median()).isEqualTo(1.5);
    }

    @Test
    void givesCpuTimePerGibOfEachProcessAndOfAll() {
        Series series = series(8, 1, 4, 2);

        assertThat(series.cpuPerGib()).isEqualTo(0.75);
        assertThat(series.cpuPerGibByRole()).isEqualTo(Map.of("source", 0.5, "destination", 0.25));
    }
}
