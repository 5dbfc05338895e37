package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.sample.SampleOptions.Touch;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PageOrderTest {
    @ParameterizedTest(name = "{0} pages, seed {1}")
    @CsvSource({"512, 1", "1024, 1", "1536, 7", "5120, -1", "65536, 1", "66048, 42"})
    void randomReachesEachPageOnce(int pages, long seed) {
        PageOrder order = new PageOrder(Touch.RANDOM, pages, seed);

        assertThat(LongStream.range(0, pages).map(order::at).sorted())
                .containsExactlyElementsOf(LongStream.range(0, pages).boxed().toList());
    }

    @Test
    void randomHasNoRuns() {
        PageOrder order = new PageOrder(Touch.RANDOM, 4096, 1);

        long neighbours = LongStream.range(1, 4096)
                .filter(i -> Math.abs(order.at(i) - order.at(i - 1)) < 8)
                .count();

        assertThat(neighbours).as("steps of less than 8 pages among 4095").isLessThan(64);
    }

    @Test
    void sequentialIsAsItIs() {
        assertThat(new PageOrder(Touch.SEQUENTIAL, 512, 1).at(77)).isEqualTo(77);
    }
}
