package io.migrationd.postcopy.fault;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Blocktime")
class BlocktimeTest {
    private final Blocktime blocktime = new Blocktime();

    @Test
    void oneThreadIsAllThreads() {
        blocktime.begin(7, 100);
        assertThat(blocktime.allNanos(130)).isEqualTo(30);
        blocktime.end(7, 150);
        assertThat(blocktime.allNanos(1000)).isEqualTo(50);
        assertThat(blocktime.threadNanos(1000)).isEqualTo(Map.of(7, 50L));
    }

    @Test
    void onlyTimeInWhichAllWaitCounts() {
        blocktime.begin(1, 0);
        blocktime.begin(2, 10); // 1 alone was all threads until now, and both are from now on.
        blocktime.end(1, 40);
        assertThat(blocktime.allNanos(70)).isEqualTo(40);
        blocktime.begin(1, 60);
        assertThat(blocktime.allNanos(70)).isEqualTo(50);
        blocktime.end(2, 80);
        blocktime.end(1, 90);
        assertThat(blocktime.allNanos(1000)).isEqualTo(60);
        assertThat(blocktime.threadNanos(1000)).isEqualTo(Map.of(1, 70L, 2, 70L));
    }

    @Test
    void threadThatWaitsForTwoPagesWaitsOnce() {
        blocktime.begin(1, 0);
        blocktime.begin(1, 10);
        blocktime.end(1, 20);
        assertThat(blocktime.allNanos(25)).isEqualTo(25);
        blocktime.end(1, 30);
        assertThat(blocktime.allNanos(100)).isEqualTo(30);
        assertThat(blocktime.threadNanos(100)).isEqualTo(Map.of(1, 30L));
    }

    @Test
    void threadsBeyondTheBoundAreCountedTogether() {
        for (int thread = 1; thread <= 2 * Blocktime.MAX_THREADS; thread++) {
            blocktime.begin(thread, 0);
            blocktime.end(thread, 1);
        }
        Map<Integer, Long> times = blocktime.threadNanos(10);
        assertThat(times).hasSize(Blocktime.MAX_THREADS + 1);
        assertThat(times).containsEntry(0, (long) Blocktime.MAX_THREADS);
    }
}
