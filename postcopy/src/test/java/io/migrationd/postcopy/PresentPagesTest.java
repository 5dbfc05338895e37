package io.migrationd.postcopy;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.postcopy.memory.FdRamBlock;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("What a daemon left behind")
class PresentPagesTest {
    private static final int PAGE = 4096;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void writtenPagesOfAMemfdAreReceivedAndNoOthers(long seed) throws IOException {
        Random random = new Random(seed);
        int pages = 500;
        try (FdRamBlock ram = FdRamBlock.createMemory("ram", (long) pages * PAGE);
                Arena arena = Arena.ofConfined()) {
            marksWhatIsWritten(ram, pages, random, arena.allocate(PAGE, PAGE));
        }
    }

    @Test
    void writtenPagesOfAFileAreReceivedAndNoOthers(@TempDir Path directory) throws IOException {
        try (FdRamBlock ram = FdRamBlock.createFile("ram", directory.resolve("ram"), 200L * PAGE);
                Arena arena = Arena.ofConfined()) {
            marksWhatIsWritten(ram, 200, new Random(4), arena.allocate(PAGE, PAGE));
        }
    }

    private static void marksWhatIsWritten(FdRamBlock ram, int pages, Random random, MemorySegment page)
            throws IOException {
        ReceivedBitmap written = new ReceivedBitmap(pages);
        for (int i = 0; i < pages; i++) {
            if (random.nextInt(3) == 0) {
                ram.writePages((long) i * PAGE, 1, PAGE, page, 0, PAGE);
                written.set(i, i + 1);
            }
        }
        IncomingBlock block = new IncomingBlock(ram, PAGE);
        PresentPages.mark(block);
        if (ram.knowsItsPages()) {
            assertThat(block.received().toWords()).containsExactly(written.toWords());
        } else {
            assertThat(block.received().cardinality()).isZero();
        }
    }

    @Test
    void emptyAndFullBlocks() throws IOException {
        try (FdRamBlock ram = FdRamBlock.createMemory("ram", 3 * PAGE);
                Arena arena = Arena.ofConfined()) {
            IncomingBlock block = new IncomingBlock(ram, PAGE);
            PresentPages.mark(block);
            assertThat(block.received().cardinality()).isZero();
            ram.writePages(0, 3, PAGE, arena.allocate(3 * PAGE, PAGE), 0, PAGE);
            PresentPages.mark(block);
            assertThat(block.received().isComplete()).isTrue();
        }
    }
}
