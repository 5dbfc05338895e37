package io.migrationd.postcopy;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Memory of a parked guest while its pages arrive")
class StoredIncomingMemoryTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 40;

    private FdRamBlock ram;
    private FdRamBlock rom;
    private IncomingBlock ramBlock;
    private IncomingBlock romBlock;
    private StoredIncomingMemory memory;
    private Arena arena;
    private final List<String> asked = new ArrayList<>();
    private boolean connected = true;

    @BeforeEach
    @SuppressWarnings("MustBeClosedChecker") // Closed in release.
    void make() throws ErrnoException {
        arena = Arena.ofShared();
        ram = FdRamBlock.createMemory("ram", (long) PAGES * PAGE);
        rom = FdRamBlock.createMemory("rom", 2 * PAGE);
        ramBlock = new IncomingBlock(ram, PAGE);
        romBlock = new IncomingBlock(rom, PAGE);
        memory = StoredIncomingMemory.of(List.of(ramBlock, romBlock));
    }

    @AfterEach
    void release() {
        memory.close();
        ram.close();
        rom.close();
        arena.close();
    }

    private void request(String block, long start, int lengthBytes) throws IOException {
        if (!connected) {
            throw new IOException("no connection");
        }
        asked.add(block + " " + start / PAGE + (lengthBytes == PAGE ? "" : " of " + lengthBytes));
    }

    private static List<String> ramPages(long from, long to) {
        return LongStream.range(from, to).mapToObj(page -> "ram " + page).toList();
    }

    private MemorySegment page(long value) {
        MemorySegment page = arena.allocate(PAGE, PAGE);
        page.set(JAVA_LONG, 0, value);
        return page;
    }

    private long firstWord(FdRamBlock block, long page) throws ErrnoException {
        MemorySegment whole = arena.allocate(PAGE, PAGE);
        block.readPages(page * PAGE, 1, PAGE, whole, 0, PAGE);
        return whole.get(JAVA_LONG, 0);
    }

    @Test
    void asksForAWindowOfMissingPagesAndForMoreAsTheyArrive() throws IOException {
        ramBlock.received().set(1, 3);
        memory.start(this::request);
        assertThat(asked).containsExactlyElementsOf(concat(ramPages(0, 1), ramPages(3, 18)));
        asked.clear();

        memory.place(ramBlock, 30 * PAGE, page(30), 0);
        assertThat(asked).as("a page that was not asked for makes no room").isEmpty();
        memory.place(ramBlock, 0, page(7), 0);
        memory.placeZero(ramBlock, 5 * PAGE);
        assertThat(asked).containsExactly("ram 18", "ram 19");
        assertThat(firstWord(ram, 0)).isEqualTo(7);
        assertThat(memory.report().requests()).isEqualTo(18);
        assertThat(memory.report().pending()).isEqualTo(16);
    }

    private static List<String> concat(List<String> first, List<String> second) {
        List<String> all = new ArrayList<>(first);
        all.addAll(second);
        return all;
    }

    @Test
    void asksForEveryPageOfEveryBlockOnce() throws IOException {
        memory.start(this::request);
        for (int i = 0; i < asked.size(); i++) {
            String[] next = asked.get(i).split(" ", -1);
            IncomingBlock block = next[0].equals("ram") ? ramBlock : romBlock;
            memory.place(block, Long.parseLong(next[1]) * PAGE, page(i + 1), 0);
        }
        assertThat(asked).containsExactlyElementsOf(concat(ramPages(0, PAGES), List.of("rom 0", "rom 1")));
        assertThat(memory.isComplete()).isTrue();
        memory.finish();
        assertThat(firstWord(rom, 1)).isEqualTo(PAGES + 2);
        assertThat(memory.report().pending()).isZero();
    }

    @Test
    void parkedItAsksForNothingAndResumedForWhatIsOutFirst() throws IOException {
        memory.start(this::request);
        asked.clear();
        memory.park();
        memory.place(ramBlock, 2 * PAGE, page(1), 0);
        memory.placeZero(ramBlock, 3 * PAGE);
        assertThat(asked).isEmpty();
        memory.resume();
        assertThat(asked).containsExactlyElementsOf(concat(ramPages(0, 2), ramPages(4, 18)));
    }

    @Test
    void failedRequestEndsTheAskingUntilTheNextConnection() throws IOException {
        connected = false;
        memory.start(this::request);
        memory.place(ramBlock, 20 * PAGE, page(1), 0);
        memory.place(ramBlock, 0, page(1), 0);
        assertThat(asked).isEmpty();
        assertThat(ramBlock.received().cardinality()).isEqualTo(2);
        memory.park();
        assertThatExceptionOfType(IOException.class).isThrownBy(memory::resume).withMessage("no connection");
        connected = true;
        memory.place(ramBlock, 1 * PAGE, page(1), 0);
        assertThat(asked).as("still parked").isEmpty();
        memory.resume();
        assertThat(asked).containsExactlyElementsOf(ramPages(2, 18));
    }

    @Test
    void zeroesAreAHoleAlsoWhereDataWas() throws IOException {
        memory.start(this::request);
        ram.writePages(4 * PAGE, 1, PAGE, page(9), 0, PAGE);
        memory.placeZero(ramBlock, 4 * PAGE);
        memory.placeZero(ramBlock, 5 * PAGE);
        assertThat(ram.nextData(0)).isEqualTo(ram.lengthBytes());
        assertThat(ramBlock.received().get(4) && ramBlock.received().get(5)).isTrue();
    }

    @Test
    void pageThatIsThereStaysAsItIs() throws IOException {
        memory.start(this::request);
        memory.place(ramBlock, 0, page(1), 0);
        memory.place(ramBlock, 0, page(2), 0);
        memory.placeZero(ramBlock, 0);
        assertThat(firstWord(ram, 0)).isEqualTo(1);
    }

    @Test
    void finishNeedsEveryPage() {
        ramBlock.received().set(0, PAGES);
        memory.start(this::request);
        assertThat(memory.isComplete()).isFalse();
        assertThatIllegalStateException()
                .isThrownBy(memory::finish)
                .withMessage("page 0 of block rom is missing, and 0 of 2 are there");
    }

    @Test
    void hostPagesLargerThanTheGuestsAreAskedForWhole() throws IOException {
        FdRamBlock coarse = FdRamBlock.createMemory("ram", 4 * PAGE);
        IncomingBlock small = new IncomingBlock(coarse, 1024);
        small.received().set(0, 6);
        try (coarse;
                StoredIncomingMemory other = StoredIncomingMemory.of(List.of(small))) {
            other.start(this::request);
            assertThat(asked).containsExactly("ram 1", "ram 2", "ram 3");
            other.place(small, PAGE, page(1), 0);
            assertThat(small.received().cardinality()).isEqualTo(8);
        }
    }

    @Test
    void onlyHostPagesArePlaced() {
        for (long offset : new long[] {-1, 1, (long) PAGES * PAGE}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.placeZero(ramBlock, offset))
                    .withMessage("block ram of 163840 bytes has no page of 4096 bytes at " + offset);
        }
    }
}
