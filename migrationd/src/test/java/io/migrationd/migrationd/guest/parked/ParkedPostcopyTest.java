package io.migrationd.migrationd.guest.parked;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Parked guest, received by postcopy")
@Timeout(30)
class ParkedPostcopyTest {
    private static final int PAGE = 4096;
    private static final int HUGE = 2 << 20;
    private static final long LIMIT = 64 << 20;
    private static final IncomingState STATE = new IncomingState("running", Optional.empty(), PAGE, "{}");
    private static final DeviceSection CPU = new DeviceSection("cpu", 0, 1, new byte[] {1, 2, 3}, null);

    @TempDir
    private Path directory;

    private final RamBudget budget = new RamBudget(LIMIT);
    private final List<String> asked = new ArrayList<>();

    private ParkedGuest create() throws IOException {
        return ParkedGuest.create("web01", directory.resolve("web01"), budget);
    }

    private ParkedGuest reopen() throws IOException {
        return ParkedGuest.open("web01", directory.resolve("web01"), budget);
    }

    private void ask(String block, long start, int lengthBytes) {
        asked.add("%s %d+%d".formatted(block, start, lengthBytes));
    }

    private static void place(IncomingMemory memory, long offset, int value) throws IOException {
        IncomingBlock block = memory.blocks().getFirst();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(block.hostPageBytes());
            page.fill((byte) value);
            memory.place(block, offset, page, 0);
        }
    }

    private static int byteAt(RamBlock block, long offset) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment page = arena.allocate(PAGE);
            block.readPages(offset, 1, PAGE, page, 0, PAGE);
            return page.get(java.lang.foreign.ValueLayout.JAVA_BYTE, 0);
        }
    }

    /** Listens with a block of that size, its page 0 received in precopy. */
    private static IncomingMemory listening(IncomingGuest incoming, long lengthBytes, int pageSizeBytes)
            throws IOException {
        incoming.machineType("pc-i440fx-10.0", 12);
        incoming.advisePostcopy();
        IncomingBlock ram = new IncomingBlock(incoming.block("pc.ram", lengthBytes, pageSizeBytes, 0), PAGE);
        IncomingMemory memory = incoming.listen("7", List.of(ram));
        place(memory, 0, 0x11);
        return memory;
    }

    @Test
    void isOursFromTheRunOnAndCompleteAtTheEnd() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            IncomingMemory memory = listening(incoming, 4 * PAGE, 0);
            memory.start(this::ask);
            assertThat(asked).containsExactly("pc.ram 4096+4096", "pc.ram 8192+4096", "pc.ram 12288+4096");
            assertThat(incoming.mayRun()).isFalse();

            incoming.run(List.of(CPU), STATE);

            assertThat(incoming.mayRun()).isTrue();
            assertThat(guest.holdsIncoming()).isTrue();
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            assertThat(guest.machineType()).contains("pc-i440fx-10.0");
            assertThatThrownBy(guest::beginIncoming)
                    .isInstanceOf(GuestException.class)
                    .hasMessage("parked guest 'web01' is here already, and waits for the rest of its memory");

            place(memory, PAGE, 0x22);
            memory.placeZero(memory.blocks().getFirst(), 2 * PAGE);
            place(memory, 3 * PAGE, 0x33);
            memory.finish();
            guest.completeIncoming();

            assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
            assertThat(guest.holdsIncoming()).isFalse();
            assertThat(byteAt(guest.ram().getFirst(), 3 * PAGE)).isEqualTo(0x33);
        }
        try (ParkedGuest guest = reopen()) {
            assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
            assertThat(guest.saveDevices())
                    .singleElement()
                    .satisfies(d -> assertThat(d.idstr()).isEqualTo("cpu"));
        }
    }

    @Test
    void goesOnAfterARestart() throws IOException {
        ParkedGuest killed = create();
        IncomingGuest incoming = killed.beginIncoming();
        IncomingMemory before = listening(incoming, 4 * PAGE, 0);
        before.start(this::ask);
        incoming.run(List.of(CPU), STATE);
        place(before, 2 * PAGE, 0x22);
        asked.clear();
        killed.close();

        try (ParkedGuest guest = reopen()) {
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            assertThat(guest.holdsIncoming()).isTrue();
            assertThat(budget.leftBytes()).isEqualTo(LIMIT - 4 * PAGE);
            IncomingMemory memory = guest.reopenIncoming("8");
            assertThat(memory.blocks().getFirst().received().toWords()).containsExactly(0b0101);
            memory.start(this::ask);
            assertThat(asked).containsExactly("pc.ram 4096+4096", "pc.ram 12288+4096");
            place(memory, PAGE, 0x44);
            place(memory, 3 * PAGE, 0x55);
            memory.finish();
            guest.completeIncoming();

            assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
            RamBlock ram = guest.ram().getFirst();
            assertThat(List.of(byteAt(ram, 0), byteAt(ram, PAGE), byteAt(ram, 2 * PAGE), byteAt(ram, 3 * PAGE)))
                    .containsExactly(0x11, 0x44, 0x22, 0x55);
        }
    }

    @Test
    void hugePagesAreAskedForAndPlacedWhole() throws IOException {
        ParkedGuest killed = create();
        IncomingGuest incoming = killed.beginIncoming();
        IncomingMemory before = listening(incoming, 2L * HUGE, HUGE);
        before.start(this::ask);
        assertThat(asked).containsExactly("pc.ram 2097152+2097152");
        assertThat(before.blocks().getFirst().received().cardinality()).isEqualTo(512);
        incoming.run(List.of(CPU), STATE);
        killed.close();

        try (ParkedGuest guest = reopen()) {
            assertThat(guest.ram().getFirst().pageSizeBytes()).isEqualTo(HUGE);
            IncomingMemory memory = guest.reopenIncoming("8");
            assertThat(memory.blocks().getFirst().hostPageBytes()).isEqualTo(HUGE);
            assertThat(memory.blocks().getFirst().received().cardinality()).isEqualTo(512);
        }
    }

    @Test
    void anAbortBeforeTheRunLeavesNothing() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            IncomingMemory memory = listening(incoming, 4 * PAGE, 0);
            memory.start(this::ask);
            memory.close();

            incoming.abort();

            assertThat(guest.holdsIncoming()).isFalse();
            assertThat(budget.leftBytes()).isEqualTo(LIMIT);
            assertThat(directory.resolve("web01/ram")).doesNotExist();
            guest.beginIncoming().abort();
        }
    }

    @Test
    void anAbortAfterTheRunDoesNothing() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            listening(incoming, 4 * PAGE, 0);
            incoming.run(List.of(CPU), STATE);

            incoming.abort();

            assertThat(guest.holdsIncoming()).isTrue();
            assertThat(directory.resolve("web01/ram/pc.ram")).exists();
        }
    }

    @Test
    void onlyAGuestThatIsBeingReceivedIsReopened() throws IOException {
        try (ParkedGuest guest = create()) {
            assertThatThrownBy(() -> guest.reopenIncoming("8"))
                    .isInstanceOf(GuestException.class)
                    .hasMessage("parked guest 'web01' is empty: it does not wait for memory");
            guest.completeIncoming();
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
        }
    }

    @Test
    void aRecordWithoutPageSizesHasSmallPages() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            incoming.block("pc.ram", PAGE, 0, 0);
            incoming.commit(List.of(), STATE);
        }
        Path record = directory.resolve("web01/guest.json");
        String older = Files.readString(record).replaceAll(",\\s*\"pageSizeBytes\" : 4096", "");
        assertThat(older).doesNotContain("pageSizeBytes");
        Files.writeString(record, older);

        try (ParkedGuest guest = reopen()) {
            assertThat(guest.ram().getFirst().pageSizeBytes()).isEqualTo(PAGE);
        }
    }

    @ParameterizedTest(name = "{0} bytes in pages of {1}")
    @CsvSource({
        "8192, 12288, 'ram.blocks.page-size at offset 99: expected a power of two from 4096 to 2^30, got 12288'",
        "8192, 2048, 'ram.blocks.page-size at offset 99: expected a power of two from 4096 to 2^30, got 2048'",
        "8192, -2147483648, 'ram.blocks.page-size at offset 99: expected a power of two from 4096 to 2^30, got -2147483648'",
        "8192, 2097152, 'ram.blocks.length at offset 99: expected whole pages of 2097152 bytes, got 8192 bytes for ''pc.ram'''",
    })
    void refusesPagesThatCannotBe(long lengthBytes, int pageSizeBytes, String message) throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();

            assertThatThrownBy(() -> incoming.block("pc.ram", lengthBytes, pageSizeBytes, 99))
                    .isInstanceOf(ProtocolException.class)
                    .hasMessage(message);

            incoming.abort();
            assertThat(budget.leftBytes()).isEqualTo(LIMIT);
        }
    }
}
