package io.migrationd.postcopy.memory;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.EventFd;
import io.migrationd.postcopy.os.Libc;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("RAM block over a descriptor")
class FdRamBlockTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 4000;
    private static final int HUGE_PAGE = 2 << 20;

    private Arena arena;
    private FdRamBlock block;

    @BeforeEach
    @SuppressWarnings("MustBeClosedChecker") // Closed in release.
    void createBlock() throws ErrnoException {
        arena = Arena.ofConfined();
        block = FdRamBlock.createMemory("pc.ram", (long) PAGES * PAGE);
    }

    @AfterEach
    void release() {
        block.close();
        arena.close();
    }

    @ParameterizedTest(name = "{0} pages, {1} bytes apart, from page {2} on")
    @CsvSource({
        "1, 4096, 0",
        "64, 4096, 7",
        "64, 4105, 7",
        "1024, 4160, 0",
        "1025, 4160, 3",
        "2500, 4097, 1",
        "2500, 4096, 1"
    })
    void writtenPagesAreRead(int count, long stride, long firstPage) throws ErrnoException {
        MemorySegment out = arena.allocate(count * stride + 9);
        MemorySegment in = arena.allocate(out.byteSize());
        for (long at = 0; at < out.byteSize(); at++) {
            out.set(JAVA_BYTE, at, (byte) (at * 31 + at / PAGE));
        }
        in.fill((byte) 0x5A);

        block.writePages(firstPage * PAGE, count, PAGE, out, 9, stride);
        block.readPages(firstPage * PAGE, count, PAGE, in, 9, stride);

        for (int i = 0; i < count; i++) {
            long from = 9 + i * stride;
            assertThat(MemorySegment.mismatch(out, from, from + PAGE, in, from, from + PAGE))
                    .as("page %d", i)
                    .isEqualTo(-1);
            long gapEnd = Math.min(from + stride, in.byteSize());
            for (long at = from + PAGE; at < gapEnd; at++) {
                assertThat(in.get(JAVA_BYTE, at)).as("gap behind page %d", i).isEqualTo((byte) 0x5A);
            }
        }
    }

    @Test
    void lastPageNeedsNoRoomBehindIt() throws ErrnoException {
        MemorySegment buffer = arena.allocate(PAGE + 8 + PAGE);
        block.writePages(0, 2, PAGE, buffer, 0, PAGE + 8);
        block.readPages(0, 2, PAGE, buffer, 0, PAGE + 8);
        assertThat(block.nextHole(0)).isEqualTo(2 * PAGE);
    }

    @Test
    void holesReadAsZeroesAndStayHoles() throws ErrnoException {
        MemorySegment buffer = arena.allocate(64L * PAGE);
        block.writePages(10L * PAGE, 1, PAGE, buffer, 0, PAGE);
        buffer.fill((byte) 1);
        block.readPages(0, 64, PAGE, buffer, 0, PAGE);
        assertThat(buffer.mismatch(arena.allocate(64L * PAGE))).isEqualTo(-1);
        assertThat(block.nextData(0)).isEqualTo(10 * PAGE);
        assertThat(block.nextHole(10 * PAGE)).isEqualTo(11 * PAGE);
        assertThat(block.nextData(11 * PAGE)).isEqualTo(block.lengthBytes());
    }

    @Test
    void punchedRangeIsAHole() throws ErrnoException {
        MemorySegment buffer = arena.allocate(8L * PAGE);
        block.writePages(0, 8, PAGE, buffer, 0, PAGE);
        block.punchHole(2 * PAGE, 3 * PAGE);
        assertThat(block.nextHole(0)).isEqualTo(2 * PAGE);
        assertThat(block.nextData(2 * PAGE)).isEqualTo(5 * PAGE);
    }

    @Test
    void seekingEndsAtTheBlockAndNotAtTheFile() throws ErrnoException {
        MemorySegment buffer = arena.allocate(PAGE);
        try (FdRamBlock middle = FdRamBlock.adopt("middle", new Descriptor(Libc.dup(block.fd())), 4 * PAGE, 4 * PAGE)) {
            block.writePages(9 * PAGE, 1, PAGE, buffer, 0, PAGE);
            assertThat(middle.nextData(0)).isEqualTo(4 * PAGE);
            assertThat(middle.nextData(4 * PAGE)).isEqualTo(4 * PAGE);
            middle.writePages(3 * PAGE, 1, PAGE, buffer, 0, PAGE);
            assertThat(middle.nextData(0)).isEqualTo(3 * PAGE);
            assertThat(middle.nextHole(3 * PAGE)).isEqualTo(4 * PAGE);
            assertThat(block.nextData(0)).isEqualTo(7 * PAGE);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "before the block,        -4096, 1, 0, 4096",
        "behind the block,     16384000, 1, 0, 4096",
        "across the end,       16379904, 2, 0, 4096",
        "overflow,  9223372036854775807, 1, 0, 4096",
        "buffer too small,            0, 5, 0, 4096",
        "buffer too small by 1,       0, 4, 1, 4096",
        "stride too wide,             0, 4, 0, 4097",
        "before the buffer,           0, 1, -1, 4096"
    })
    void rangeIsCheckedBeforeTheCall(String why, long offset, int count, long bufferOffset, long stride)
            throws ErrnoException {
        MemorySegment buffer = arena.allocate(4 * PAGE);
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .as(why)
                .isThrownBy(() -> block.writePages(offset, count, PAGE, buffer, bufferOffset, stride));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .as(why)
                .isThrownBy(() -> block.readPages(offset, count, PAGE, buffer, bufferOffset, stride));
        assertThat(block.nextData(0)).isEqualTo(block.lengthBytes());
    }

    @Test
    void seekAndPunchStayInTheBlock() {
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> block.punchHole((PAGES - 1L) * PAGE, 2 * PAGE));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> block.nextData(-1));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> block.nextHole(block.lengthBytes() + 1));
    }

    @Test
    void lengthOfNewMemoryIsSealed() {
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> Libc.ftruncate(block.fd(), PAGE))
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.EPERM));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "longer than the file,     0, 16388096, 'block(adopted has 16388096 bytes at 0, its file 16384000): EINVAL'",
        "beyond the file,      8192, 16379904, 'block(adopted has 16379904 bytes at 8192, its file 16384000): EINVAL'",
        "half a page,              0,     2048, 'block(adopted has 2048 bytes, which is not a number of pages of 4096)'",
        "nothing,                  0,        0, 'block(adopted has 0 bytes, which is not a number of pages of 4096)'",
        "offset within a page,    16,     4096, 'block(adopted has 4096 bytes at 16, its file 16384000): EINVAL'",
        "negative offset,      -4096,     4096, 'block(adopted has 4096 bytes at -4096, its file 16384000): EINVAL'",
        "overflow, 9223372036854771712, 9223372036854771712, 'block(adopted has 9223372036854771712 bytes at'"
    })
    void receivedDescriptorIsCheckedAndClosedWhenRefused(String why, long baseOffset, long length, String message)
            throws ErrnoException {
        Descriptor received = new Descriptor(Libc.dup(block.fd()));
        assertThatExceptionOfType(ErrnoException.class)
                .as(why)
                .isThrownBy(() -> FdRamBlock.adopt("adopted", received, baseOffset, length))
                .withMessageStartingWith(message);
        assertThatExceptionOfType(IllegalStateException.class).isThrownBy(received::number);
    }

    @Test
    void receivedDescriptorMustBeAFile() throws ErrnoException {
        try (EventFd noFile = EventFd.open()) {
            Descriptor received = new Descriptor(Libc.dup(noFile.fd()));
            assertThatExceptionOfType(ErrnoException.class)
                    .isThrownBy(() -> FdRamBlock.adopt("adopted", received, 0, PAGE))
                    .withMessageStartingWith("block(adopted is neither a memfd nor a regular file)");
        }
    }

    @Test
    void fileThatShrinksIsAnErrorAndNotZeroes(@TempDir Path directory) throws ErrnoException {
        MemorySegment buffer = arena.allocate(4 * PAGE);
        try (FdRamBlock file = FdRamBlock.createFile("ram", directory.resolve("ram"), 4 * PAGE)) {
            Libc.ftruncate(file.fd(), 2 * PAGE);
            assertThatExceptionOfType(ErrnoException.class)
                    .isThrownBy(() -> file.readPages(0, 4, PAGE, buffer, 0, PAGE))
                    .withMessage("preadv(block=ram ends early, at 8192): EIO (input/output error)");
        }
    }

    @Test
    void fileKeepsItsPages(@TempDir Path directory) throws ErrnoException {
        Path path = directory.resolve("ram");
        MemorySegment buffer = arena.allocate(PAGE);
        buffer.fill((byte) 7);
        try (FdRamBlock file = FdRamBlock.createFile("ram", path, 8 * PAGE)) {
            file.writePages(5 * PAGE, 1, PAGE, buffer, 0, PAGE);
            file.sync();
        }
        MemorySegment in = arena.allocate(PAGE);
        try (FdRamBlock again = FdRamBlock.openFile("ram", path)) {
            assertThat(again.lengthBytes()).isEqualTo(8 * PAGE);
            again.readPages(5 * PAGE, 1, PAGE, in, 0, PAGE);
        }
        assertThat(in.mismatch(buffer)).isEqualTo(-1);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> FdRamBlock.createFile("ram", path, PAGE))
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.EEXIST));
    }

    @Test
    void fullDiskIsAnError(@TempDir Path directory) throws Exception {
        assumeTrue(
                run("mount", "-t", "tmpfs", "-o", "size=64k", "migrationd-test", directory.toString()) == 0,
                "mounting a small tmpfs is not permitted here");
        try (FdRamBlock file = FdRamBlock.createFile("ram", directory.resolve("ram"), 64L * PAGE)) {
            MemorySegment buffer = arena.allocate(64L * PAGE);
            assertThatExceptionOfType(ErrnoException.class)
                    .isThrownBy(() -> file.writePages(0, 64, PAGE, buffer, 0, PAGE))
                    .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.ENOSPC))
                    .withMessageContaining("pwritev(");
            file.readPages(0, 64, PAGE, buffer, 0, PAGE);
        } finally {
            assertThat(run("umount", directory.toString())).isZero();
        }
    }

    @Test
    void hugePagesAreWrittenWithoutWriteCall() throws ErrnoException {
        MemorySegment out = arena.allocate(6L * (PAGE + 16));
        MemorySegment in = arena.allocate(6L * (PAGE + 16));
        out.fill((byte) 9);
        try (FdRamBlock huge = FdRamBlock.createHugeMemory("huge", 2 * HUGE_PAGE)) {
            assertThat(huge.pageSizeBytes()).isEqualTo(HUGE_PAGE);
            huge.writePages(HUGE_PAGE - 3 * PAGE, 6, PAGE, out, 0, PAGE + 16);
            huge.readPages(HUGE_PAGE - 3 * PAGE, 6, PAGE, in, 0, PAGE + 16);
            assertThat(MemorySegment.mismatch(out, PAGE + 16, 2 * PAGE + 16, in, PAGE + 16, 2 * PAGE + 16))
                    .isEqualTo(-1);
            huge.readPages(0, 1, PAGE, in, 0, PAGE);
            assertThat(in.get(JAVA_BYTE, 0)).isZero();
            assertThat(huge.nextData(PAGE)).isEqualTo(PAGE);
            assertThat(huge.nextHole(PAGE)).isEqualTo(2 * HUGE_PAGE);
            huge.punchHole(0, HUGE_PAGE);
            try (FdRamBlock adopted = FdRamBlock.adopt("huge", new Descriptor(Libc.dup(huge.fd())), 0, 2 * HUGE_PAGE)) {
                assertThat(adopted.pageSizeBytes()).isEqualTo(HUGE_PAGE);
            }
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ENOMEM) {
                abort("no huge pages are reserved on this host (vm.nr_hugepages): " + e.getMessage());
            }
            throw e;
        }
    }

    private static int run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        assertThat(process.waitFor(20, TimeUnit.SECONDS)).isTrue();
        return process.exitValue();
    }
}
