package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Bandwidth meter")
class BandwidthMeterTest {
    private static final long MILLI = 1_000_000;
    private static final long START = -3_000_000_000L;
    private final BandwidthMeter meter = new BandwidthMeter(START);

    @Test
    void saysNothingBeforeTheFirstWindowIsOver() {
        meter.sample(START + 99 * MILLI, 1_000_000);

        assertThat(meter.bytesPerSecond()).isZero();
    }

    @Test
    void measuresOverTheTimeThatHasPassed() {
        meter.sample(START + 200 * MILLI, 1_000_000);

        assertThat(meter.bytesPerSecond()).isEqualTo(5_000_000);
    }

    @Test
    void eachWindowStandsForItself() {
        meter.sample(START + 100 * MILLI, 1_000_000);
        meter.sample(START + 150 * MILLI, 9_000_000);
        assertThat(meter.bytesPerSecond()).isEqualTo(10_000_000);

        meter.sample(START + 200 * MILLI, 1_500_000);
        assertThat(meter.bytesPerSecond()).isEqualTo(5_000_000);

        meter.sample(START + 300 * MILLI, 1_500_000);
        assertThat(meter.bytesPerSecond()).isZero();
    }

    @Test
    void oneGoodWindowIsNotWhatTheLinkSustains() {
        for (int window = 1; window <= 9; window++) {
            meter.sample(START + 100 * MILLI * window, window * 1_000_000L);
        }
        meter.sample(START + 1000 * MILLI, 9_000_000 + 11_000_000);
        assertThat(meter.bytesPerSecond()).isEqualTo(110_000_000);
        assertThat(meter.sustainedBytesPerSecond()).isEqualTo(20_000_000);

        meter.sample(START + 1100 * MILLI, 20_100_000);
        assertThat(meter.sustainedBytesPerSecond()).as("one bad window is").isEqualTo(1_000_000);
    }
}
