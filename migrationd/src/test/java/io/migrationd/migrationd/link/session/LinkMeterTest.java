package io.migrationd.migrationd.link.session;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Round trips of a session")
class LinkMeterTest {
    @Test
    void tripBehindBulkIsTheLastAndNotTheShortest() {
        LinkMeter meter = new LinkMeter(0);
        meter.trip(300);
        for (int i = 0; i < 100; i++) {
            meter.tripBehindBulk(9000);
        }
        assertThat(meter.rttNanos()).isEqualTo(9000);
        assertThat(meter.minRttNanos())
                .as("still known, however many came since")
                .isEqualTo(300);
    }
}
