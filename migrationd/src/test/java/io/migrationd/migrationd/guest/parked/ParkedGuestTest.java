package io.migrationd.migrationd.guest.parked;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Parked guest")
class ParkedGuestTest {
    private static final long LIMIT = 1 << 20;
    private static final int PAGE = 4096;
    private static final UUID ID = UUID.fromString("12345678-9abc-def0-1122-334455667788");
    private static final IncomingState STATE = new IncomingState("running", Optional.of(ID), PAGE, "{}");
    private static final DeviceSection CPU = new DeviceSection("cpu", 0, 1, new byte[] {1, 2, 3}, null);

    @TempDir
    private Path directory;

    private final RamBudget budget = new RamBudget(LIMIT);

    private ParkedGuest create() throws IOException {
        return ParkedGuest.create("web01", directory.resolve("web01"), budget);
    }

    private static void fill(RamBlock block, long page, int value) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(PAGE);
            bytes.fill((byte) value);
            block.writePages(page * PAGE, 1, PAGE, bytes, 0, PAGE);
        }
    }

    private List<String> files() throws IOException {
        try (Stream<Path> all = Files.walk(directory.resolve("web01"))) {
            return all.filter(Files::isRegularFile)
                    .map(f -> directory.resolve("web01").relativize(f).toString())
                    .sorted()
                    .toList();
        }
    }

    private ParkedGuest received() throws IOException {
        ParkedGuest guest = create();
        IncomingGuest incoming = guest.beginIncoming();
        incoming.machineType("pc-i440fx-10.0", 12);
        RamBlock ram = incoming.block("pc.ram", 8 * PAGE, 0, 0);
        incoming.block("/rom@etc/acpi/tables", 2 * PAGE, 0, 0);
        fill(ram, 3, 0x77);
        incoming.commit(List.of(CPU), STATE);
        return guest;
    }

    @Test
    void isEmptyAtFirst() throws IOException {
        try (ParkedGuest guest = create()) {
            assertThat(guest.kind()).isEqualTo(GuestKind.PARKED);
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            assertThat(guest.machineType()).isEmpty();
            assertThat(guest.uuid()).isEmpty();
            assertThat(guest.ram()).isEmpty();
            assertThat(guest.saveDevices()).isEmpty();
        }
    }

    @Test
    void holdsWhatWasCommitted() throws IOException {
        try (ParkedGuest guest = received()) {
            assertComplete(guest);
            assertThat(files()).containsExactly("guest.json", "ram/%2From%40etc%2Facpi%2Ftables", "ram/pc.ram");
        }
        assertThat(budget.leftBytes()).isEqualTo(LIMIT);
    }

    @Test
    void isCompleteAgainAfterARestart() throws IOException {
        received().close();

        try (ParkedGuest guest = ParkedGuest.open("web01", directory.resolve("web01"), budget)) {
            assertComplete(guest);
        }
    }

    private void assertComplete(ParkedGuest guest) throws IOException {
        assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
        assertThat(guest.machineType()).contains("pc-i440fx-10.0");
        assertThat(guest.uuid()).contains(ID);
        assertThat(guest.targetPageSizeBytes()).isEqualTo(PAGE);
        assertThat(guest.ram()).extracting(RamBlock::name).containsExactly("pc.ram", "/rom@etc/acpi/tables");
        assertThat(guest.ram()).extracting(RamBlock::lengthBytes).containsExactly(8L * PAGE, 2L * PAGE);
        byte[] ram = MemoryGuest.contents(guest.ram().getFirst());
        assertThat(ram[3 * PAGE]).isEqualTo((byte) 0x77);
        assertThat(ram[2 * PAGE]).isZero();
        assertThat(guest.ram().getFirst().nextData(0))
                .as("pages that never came are holes")
                .isEqualTo(3 * PAGE);
        assertThat(guest.saveDevices()).singleElement().satisfies(d -> {
            assertThat(d.idstr()).isEqualTo("cpu");
            assertThat(d.body()).containsExactly(1, 2, 3);
        });
        assertThat(budget.leftBytes()).isEqualTo(LIMIT - 10 * PAGE);
    }

    @Test
    void whatWasHalfReceivedIsThrownAwayByARestart() throws IOException {
        ParkedGuest killed = create();
        IncomingGuest incoming = killed.beginIncoming();
        fill(incoming.block("pc.ram", 8 * PAGE, 0, 0), 0, 1);
        assertThat(files()).containsExactly("guest.json", "ram/pc.ram");
        RamBudget fresh = new RamBudget(LIMIT);

        try (ParkedGuest guest = ParkedGuest.open("web01", directory.resolve("web01"), fresh)) {
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            assertThat(guest.ram()).isEmpty();
            assertThat(files()).containsExactly("guest.json");
            assertThat(fresh.leftBytes()).isEqualTo(LIMIT);
            guest.beginIncoming().abort();
        }
        incoming.abort();
    }

    @Test
    void migratedIsSeenAfterARestart() throws IOException {
        try (ParkedGuest guest = received()) {
            guest.releaseAfterMigration();
            assertThat(guest.runState()).isEqualTo(RunState.POSTMIGRATE);
        }

        try (ParkedGuest guest = ParkedGuest.open("web01", directory.resolve("web01"), budget)) {
            assertThat(guest.runState()).isEqualTo(RunState.POSTMIGRATE);
            assertThat(guest.ram()).hasSize(2);
        }
    }

    @Test
    void anAbortLeavesNothing() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            fill(incoming.block("pc.ram", 8 * PAGE, 0, 0), 0, 1);

            incoming.abort();
            incoming.abort();

            assertThat(files()).containsExactly("guest.json");
            assertThat(budget.leftBytes()).isEqualTo(LIMIT);
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            IncomingGuest again = guest.beginIncoming();
            again.block("pc.ram", PAGE, 0, 0);
            again.abort();
        }
    }

    @Test
    void anAbortAfterTheCommitDoesNothing() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            incoming.machineType("pc", 0);
            incoming.block("pc.ram", PAGE, 0, 0);
            incoming.commit(List.of(), STATE);

            incoming.abort();

            assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
            assertThat(files()).containsExactly("guest.json", "ram/pc.ram");
            assertThat(budget.leftBytes()).isEqualTo(LIMIT - PAGE);
        }
    }

    @Test
    void takesOneMigrationAtATime() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest first = guest.beginIncoming();
            assertThatThrownBy(guest::beginIncoming)
                    .isInstanceOf(GuestException.class)
                    .hasMessage("parked guest 'web01' is being received already");
            first.abort();
        }
        try (ParkedGuest guest = received()) {
            assertThatThrownBy(guest::beginIncoming).hasMessage("parked guest 'web01' holds a guest already");
        }
    }

    @Test
    void staysWithinTheBudgetOfTheHost() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();
            incoming.block("m0", LIMIT - PAGE, 0, 0);

            assertThatThrownBy(() -> incoming.block("m1", 2 * PAGE, 0, 99))
                    .isInstanceOf(ProtocolException.class)
                    .hasMessage("ram.blocks.length at offset 99: expected at most 4096 bytes,"
                            + " what is left of limits.max-parked-ram-bytes, got 8192 bytes for 'm1'");

            incoming.abort();
            assertThat(budget.leftBytes()).isEqualTo(LIMIT);
        }
    }

    @Test
    void whatIsHereIsKeptBeyondASmallerBudget() throws IOException {
        received().close();
        RamBudget smaller = new RamBudget(PAGE);

        try (ParkedGuest guest = ParkedGuest.open("web01", directory.resolve("web01"), smaller)) {
            assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
            assertThat(smaller.leftBytes()).isZero();
            assertThat(smaller.reserve(1)).isFalse();
        }
        assertThat(smaller.leftBytes()).isEqualTo(PAGE);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "pc.ram, pc.ram",
        "/rom@etc/acpi/tables, %2From%40etc%2Facpi%2Ftables",
        "0000:00:02.0/vm0, 0000%3A00%3A02.0%2Fvm0",
        ".., %2E.",
        ".hidden, %2Ehidden",
        "../../etc/passwd, %2E.%2F..%2Fetc%2Fpasswd",
        "a%2Fb, a%252Fb",
        "a b, a%20b",
        "é, %E9"
    })
    void blocksHaveFileNamesOfTheirOwn(String block, String file) {
        assertThat(ParkedGuest.fileName(block)).isEqualTo(file);
    }

    @Test
    void aNameWithAZeroByteIsAFileNameToo() {
        assertThat(ParkedGuest.fileName("a\0b")).isEqualTo("a%00b");
    }

    @Test
    void aNameThatIsTooLongForAFileIsRefusedCleanly() throws IOException {
        try (ParkedGuest guest = create()) {
            IncomingGuest incoming = guest.beginIncoming();

            assertThatThrownBy(() -> incoming.block("/".repeat(255), PAGE, 0, 0))
                    .isInstanceOf(ErrnoException.class);

            incoming.abort();
            assertThat(budget.leftBytes()).isEqualTo(LIMIT);
            assertThat(files()).containsExactly("guest.json");
        }
    }

    @Test
    void isDeletedWithoutTrace() throws IOException {
        received().delete();

        assertThat(directory.resolve("web01")).doesNotExist();
        assertThat(budget.leftBytes()).isEqualTo(LIMIT);
    }

    @Test
    void refusesARecordOfAnotherVersion() throws IOException {
        received().close();
        Path record = directory.resolve("web01/guest.json");
        Files.writeString(record, Files.readString(record).replace("\"version\" : 1", "\"version\" : 2"));

        assertThatThrownBy(() -> ParkedGuest.open("web01", directory.resolve("web01"), budget))
                .isInstanceOf(IOException.class);
    }

    @Test
    void refusesABlockThatIsNotWhatWasRecorded() throws IOException {
        received().close();
        Files.write(directory.resolve("web01/ram/pc.ram"), new byte[PAGE]);
        RamBudget fresh = new RamBudget(LIMIT);

        assertThatThrownBy(() -> ParkedGuest.open("web01", directory.resolve("web01"), fresh))
                .hasMessage("block 'pc.ram' of parked guest 'web01' has 4096 bytes, 32768 were recorded");
        assertThat(fresh.leftBytes()).isEqualTo(LIMIT);
    }

    @Test
    void aMissingBlockLeavesTheBudgetAsItWas() throws IOException {
        received().close();
        Files.delete(directory.resolve("web01/ram/%2From%40etc%2Facpi%2Ftables"));
        RamBudget fresh = new RamBudget(LIMIT);

        assertThatThrownBy(() -> ParkedGuest.open("web01", directory.resolve("web01"), fresh))
                .isInstanceOf(ErrnoException.class);
        assertThat(fresh.leftBytes()).isEqualTo(LIMIT);
    }
}
