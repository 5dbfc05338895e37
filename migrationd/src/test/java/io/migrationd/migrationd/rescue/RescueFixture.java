package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.postcopy.memory.RamBlock;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.io.TempDir;

/** A guest with blocks {@code m0} of four pages and {@code rom} of one; its ram section has id 7. */
abstract class RescueFixture {
    static final int PAGE = 4096;
    static final int M0_PAGES = 4;
    static final String PROLOGUE = "5145564d 00000003 07 0000000e \"pc-i440fx-10.0\" ";
    static final String OLD_PROLOGUE = "5145564d 00000003 07 0000000d \"pc-i440fx-7.2\" ";
    static final String RAM_SETUP = "01 00000007 03 \"ram\" 00000000 00000004"
            + " 0000000000005004 02 \"m0\" 0000000000004000 03 \"rom\" 0000000000001000 0000000000000010 7e 00000007 ";
    static final String LISTEN = "08 0004 0000 ";
    static final String DEVICES = "04 00000009 03 \"cpu\" 00000000 00000002 01020304 7e 00000009 "
            + "04 0000000a 04 \"disk\" 00000001 00000001 0506 7e 0000000a ";
    static final String PINGS = "08 0002 0004 00000003 08 0002 0004 00000042 ";
    static final String RUN = "08 0005 0000 ";
    static final String ASK = "08 000a 0003 02 \"m0\" 08 000a 0004 03 \"rom\" ";
    static final String RESUME = "08 0009 0000 ";
    static final String RESUME_ACK = "0006 0004 00000001 ";
    static final String SHUT_COMPLETE = "0001 0004 00000000 ";
    static final long WAIT_MILLIS = 10_000;

    @TempDir
    Path directory;

    final Links links = new Links(5_000, 5_000);
    final RecordedEvents events = new RecordedEvents();
    final RamBudget budget = new RamBudget(1 << 20);

    @AfterEach
    void closeLinks() {
        links.close();
    }

    static KeptParts parts() {
        return parts(PROLOGUE);
    }

    static KeptParts parts(String prologue) {
        return new KeptParts(bytes(prologue), bytes(RAM_SETUP), bytes(LISTEN + DEVICES + PINGS + RUN));
    }

    DrainedCopy copy() throws IOException {
        return copy("copy", PROLOGUE);
    }

    DrainedCopy copy(String folder, String prologue) throws IOException {
        return DrainedCopy.create("web01", directory.resolve(folder), parts(prologue), budget);
    }

    /** With every page, page 2 of m0 a zero page. */
    DrainedCopy completeCopy(String folder, String prologue) throws IOException {
        DrainedCopy copy = copy(folder, prologue);
        for (RamBlock block : copy.guest().ram()) {
            try (Arena arena = Arena.ofConfined()) {
                int pages = (int) (block.lengthBytes() / PAGE);
                MemorySegment content = arena.allocate(block.lengthBytes(), PAGE);
                for (int page = 0; page < pages; page++) {
                    MemorySegment.copy(
                            page(block.name(), page), 0, content, ValueLayout.JAVA_BYTE, (long) page * PAGE, PAGE);
                }
                block.writePages(0, pages, PAGE, content, 0, PAGE);
            }
        }
        copy.guest().completeIncoming();
        return copy;
    }

    /** What page {@code number} of a block holds. */
    static byte[] page(String block, int number) {
        byte[] content = new byte[PAGE];
        if (!(block.equals("m0") && number == 2)) {
            new Random(block.hashCode() + number).nextBytes(content);
        }
        return content;
    }

    /** A page record. */
    static byte[] record(String block, int number) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        boolean zero = block.equals("m0") && number == 2;
        out.writeBytes(bytes("%016x %02x \"%s\"".formatted(number * PAGE | (zero ? 2 : 8), block.length(), block)));
        out.writeBytes(zero ? new byte[1] : page(block, number));
        return out.toByteArray();
    }

    /** A section of ram with these pages of m0, and rom if {@code number} 9 is among them. */
    static byte[] part(int... pages) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(bytes("02 00000007"));
        for (int page : pages) {
            out.writeBytes(page == 9 ? record("rom", 0) : record("m0", page));
        }
        out.writeBytes(bytes("0000000000000010 7e 00000007"));
        return out.toByteArray();
    }

    static final byte[] END = bytes("03 00000007 0000000000000010 7e 00000007");
    static final byte[] EOF = {0};

    static byte[] join(byte[]... pieces) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        for (byte[] piece : pieces) {
            out.writeBytes(piece);
        }
        return out.toByteArray();
    }

    /** That the copy holds what the source had. */
    static void assertWhole(DrainedCopy copy) throws IOException {
        assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
        for (RamBlock block : copy.guest().ram()) {
            for (int number = 0; number < block.lengthBytes() / PAGE; number++) {
                assertThat(stored(block, number))
                        .as("page %d of %s", number, block.name())
                        .isEqualTo(page(block.name(), number));
            }
        }
    }

    private static byte[] stored(RamBlock block, int number) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment content = arena.allocate(PAGE, PAGE);
            block.readPages((long) number * PAGE, 1, PAGE, content, 0, PAGE);
            return content.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    MigrationUri unix(String name) {
        return MigrationUri.parse("unix:" + directory.resolve(name));
    }

    RescueRequest request(DrainedCopy copy, String socket) {
        return request(copy, socket, false);
    }

    RescueRequest request(DrainedCopy copy, String socket, boolean preempt) {
        return new RescueRequest("t", copy, unix(socket), links, preempt, events, new RescueLimits(2_000, 5_000, 0));
    }

    static void awaitStatus(java.util.function.Supplier<RescueStatus> rescue, Predicate<RescueStatus> wanted) {
        await().atMost(WAIT_MILLIS, TimeUnit.MILLISECONDS)
                .pollInterval(2, TimeUnit.MILLISECONDS)
                .until(rescue::get, wanted);
    }
}
