package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Page queue")
class PageQueueTest {
    private static final int PAGE = 4096;
    private static final long BIG_PAGES = 4L * PageQueue.CAPACITY;

    private final List<FdRamBlock> memory = new ArrayList<>();
    private PageQueue queue = new PageQueue(List.of(), PAGE);

    @BeforeEach
    void open() throws ErrnoException {
        memory.add(FdRamBlock.createMemory("m0", 64 * PAGE));
        memory.add(FdRamBlock.createMemory("big", BIG_PAGES * PAGE));
        queue = new PageQueue(
                List.of(new SourceBlock(memory.get(0), 0, PAGE, 0), new SourceBlock(memory.get(1), 1, PAGE, 64)), PAGE);
    }

    @AfterEach
    void close() {
        memory.forEach(FdRamBlock::close);
    }

    private List<String> drain() {
        List<String> entries = new ArrayList<>();
        for (long entry = queue.poll(); entry != PageQueue.NONE; entry = queue.poll()) {
            entries.add(queue.block(entry).ram.name() + ":" + queue.page(entry));
        }
        return entries;
    }

    @Test
    void firstComeFirstServedAndNoneTwice() {
        queue.offer("big", 7L * PAGE, PAGE);
        queue.offer("m0", 3 * PAGE, 2 * PAGE);
        queue.offer("big", 7L * PAGE, PAGE);
        queue.offer("m0", 2 * PAGE, 2 * PAGE);

        assertThat(drain()).containsExactly("big:7", "m0:3", "m0:4", "m0:2");
    }

    @Test
    void aPageMayBeAskedForAgainOnceItWasTaken() {
        queue.offer("m0", 0, PAGE);
        assertThat(drain()).containsExactly("m0:0");
        queue.offer("m0", 0, PAGE);
        assertThat(drain()).containsExactly("m0:0");
    }

    @Test
    void whatDoesNotFitIsDropped() {
        assertThat(queue.offer("big", 0, PageQueue.CAPACITY * PAGE)).isZero();
        assertThat(queue.offer("m0", 0, 3 * PAGE)).isEqualTo(3);
        assertThat(queue.offer("big", PAGE * (long) PageQueue.CAPACITY, Integer.MAX_VALUE / PAGE * PAGE))
                .isEqualTo(Integer.MAX_VALUE / PAGE);

        assertThat(drain()).hasSize(PageQueue.CAPACITY).startsWith("big:0").endsWith("big:" + (PageQueue.CAPACITY - 1));
        queue.offer("m0", 0, PAGE);
        assertThat(drain()).containsExactly("m0:0");
    }

    @Test
    void isEmptyWhenCleared() {
        queue.offer("m0", 0, 64 * PAGE);
        queue.clear();
        assertThat(drain()).isEmpty();
        queue.offer("m0", 0, 64 * PAGE);
        assertThat(drain()).hasSize(64);
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void behavesAsAListAndASet(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        ArrayDeque<Long> list = new ArrayDeque<>();
        Set<Long> set = new LinkedHashSet<>();
        // Filled and emptied in turn, so that the table's gaps wander.
        for (int i = 0; i < 400_000; i++) {
            boolean filling = i / 50_000 % 2 == 0;
            if (random.nextInt(3) < (filling ? 2 : 1)) {
                long page = random.nextLong(BIG_PAGES);
                queue.offer("big", page * PAGE, PAGE);
                if (set.size() < PageQueue.CAPACITY && set.add(page)) {
                    list.add(page);
                }
            } else {
                long entry = queue.poll();
                Long expected = list.poll();
                set.remove(expected);
                assertThat(entry == PageQueue.NONE ? null : Long.valueOf(queue.page(entry)))
                        .isEqualTo(expected);
            }
        }
    }
}
