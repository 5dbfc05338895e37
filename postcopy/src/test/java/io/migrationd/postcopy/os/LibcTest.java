package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("C library")
class LibcTest {
    private static final int MISSING_FD = 1 << 20;

    private Arena arena;
    private Descriptor memory;

    @BeforeEach
    @SuppressWarnings("MustBeClosedChecker") // Closed in release.
    void createMemory() throws ErrnoException {
        arena = Arena.ofConfined();
        memory = new Descriptor(Libc.memfdCreate("libc-test", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING));
        Libc.ftruncate(memory.number(), 1 << 20);
    }

    @AfterEach
    void release() {
        memory.close();
        arena.close();
    }

    @Test
    void refusalNamesCallArgumentsAndErrno() {
        MemorySegment buffer = arena.allocate(8);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> Libc.pread(MISSING_FD, buffer, 0, 8, 4096))
                .withMessage("pread(fd=1048576 offset=4096 length=8): EBADF (bad file descriptor)")
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.EBADF))
                .satisfies(e -> assertThat(e.call()).isEqualTo("pread"));
    }

    @Test
    void openRefusesWhatIsNotThere(@TempDir Path directory) {
        Path absent = directory.resolve("absent");
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> Libc.open(absent, Libc.O_RDONLY))
                .withMessage("open(path=" + absent + "): ENOENT (no such file)");
    }

    @Test
    void openCreatesWithMode(@TempDir Path directory) throws IOException {
        Path file = directory.resolve("new");
        Libc.close(Libc.open(file, Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_CLOEXEC, 0600));
        assertThat(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)))
                .isEqualTo("rw-------");
    }

    @Test
    void writtenBytesAreRead() throws ErrnoException {
        MemorySegment out = arena.allocate(16);
        MemorySegment in = arena.allocate(16);
        out.set(JAVA_LONG, 8, 0x0102030405060708L);
        Libc.pwrite(memory.number(), out, 8, 8, 4000);
        assertThat(Libc.pread(memory.number(), in, 0, 8, 4000)).isEqualTo(8);
        assertThat(in.get(JAVA_LONG, 0)).isEqualTo(0x0102030405060708L);
    }

    @Test
    void readStopsAtTheEndOfTheFile() throws ErrnoException {
        MemorySegment in = arena.allocate(64);
        assertThat(Libc.pread(memory.number(), in, 0, 64, (1 << 20) - 10)).isEqualTo(10);
        IoVector pieces = new IoVector();
        pieces.setStrided(in, 0, 4, 8, 16);
        assertThat(Libc.preadv(memory.number(), pieces, (1 << 20) - 20)).isEqualTo(20);
    }

    @Test
    void rangeOutsideTheBufferReachesNoCall() {
        MemorySegment buffer = arena.allocate(16);
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> Libc.pread(memory.number(), buffer, 8, 9, 0));
        assertThatExceptionOfType(IndexOutOfBoundsException.class)
                .isThrownBy(() -> new IoVector().setStrided(buffer, 0, 2, 8, 9));
    }

    @Test
    void heapSegmentIsRefused() {
        MemorySegment heap = MemorySegment.ofArray(new byte[16]);
        assertThatExceptionOfType(IllegalArgumentException.class)
                .isThrownBy(() -> Libc.pwrite(memory.number(), heap, 0, 16, 0))
                .withMessage("the kernel cannot reach a segment on the Java heap");
    }

    @Test
    void vectorContinuesInTheMiddleOfAPiece() {
        MemorySegment buffer = arena.allocate(64);
        IoVector pieces = new IoVector();
        pieces.setStrided(buffer, 0, 4, 8, 16);
        pieces.advance(11);
        assertThat(pieces).hasToString("pieces=3 length=21");
        pieces.advance(21);
        assertThat(pieces.isDone()).isTrue();
    }

    @Test
    void touchingPiecesBecomeOne() {
        IoVector pieces = new IoVector();
        pieces.setStrided(arena.allocate(64), 0, 8, 8, 8);
        assertThat(pieces).hasToString("pieces=1 length=64");
    }

    @Test
    void holesAreFoundAndMade() throws ErrnoException {
        int fd = memory.number();
        Libc.pwrite(fd, arena.allocate(4096), 0, 4096, 8192);
        assertThat(Libc.lseek(fd, 0, Libc.SEEK_DATA)).isEqualTo(8192);
        assertThat(Libc.lseek(fd, 8192, Libc.SEEK_HOLE)).isEqualTo(12288);
        Libc.fallocate(fd, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, 8192, 4096);
        assertThat(Libc.lseek(fd, 0, Libc.SEEK_DATA)).isEqualTo(-1);
    }

    @Test
    void reservedMemoryIsStillAHole() throws ErrnoException {
        Libc.fallocate(memory.number(), 0, 8192, 4096);
        assertThat(Libc.lseek(memory.number(), 0, Libc.SEEK_DATA)).isEqualTo(-1);
    }

    @Test
    void statusTellsFilesApart(@TempDir Path directory) throws ErrnoException {
        FileStatus ofMemory = Libc.fstat(memory.number());
        assertThat(ofMemory.isRegular()).isTrue();
        assertThat(ofMemory.isSharedMemory()).isTrue();
        assertThat(ofMemory.isHugePages()).isFalse();
        assertThat(ofMemory.sizeBytes()).isEqualTo(1 << 20);
        try (Descriptor opened = new Descriptor(Libc.open(directory, Libc.O_RDONLY | Libc.O_CLOEXEC))) {
            assertThat(Libc.fstat(opened.number()).isRegular()).isFalse();
        }
    }

    @Test
    void sealedMemoryKeepsItsLength() throws ErrnoException {
        assertThat(Libc.seals(memory.number())).isZero();
        Libc.addSeals(memory.number(), Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW);
        assertThat(Libc.seals(memory.number())).isEqualTo(Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> Libc.ftruncate(memory.number(), 4096))
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.EPERM));
    }

    @Test
    void closeOnExecIsKeptByCopies() throws ErrnoException {
        Libc.setCloseOnExec(memory.number(), false);
        assertThat(Libc.isCloseOnExec(memory.number())).isFalse();
        try (Descriptor copy = new Descriptor(Libc.dup(memory.number()))) {
            assertThat(copy.number()).isNotEqualTo(memory.number());
            assertThat(Libc.isCloseOnExec(copy.number())).isTrue();
        }
    }

    @Test
    void mappingIsTheFileUntilItsArenaCloses() throws ErrnoException {
        MemorySegment mapping;
        try (Arena life = Arena.ofConfined()) {
            int protection = Libc.PROT_READ | Libc.PROT_WRITE;
            mapping = Libc.mmap(memory.number(), 4096, 8192, protection, Libc.MAP_SHARED, life);
            mapping.set(JAVA_LONG, 0, 42);
            Libc.fsync(memory.number());
            Libc.fdatasync(memory.number());
            MemorySegment in = arena.allocate(8);
            Libc.pread(memory.number(), in, 0, 8, 4096);
            assertThat(in.get(JAVA_LONG, 0)).isEqualTo(42);
            Libc.madvise(mapping, Libc.MADV_REMOVE);
            assertThat(mapping.get(JAVA_LONG, 0)).isZero();
        }
        assertThatExceptionOfType(IllegalStateException.class).isThrownBy(() -> mapping.get(JAVA_BYTE, 0));
    }

    @Test
    void kernelReportsAnUnwritableAddressAsErrno() throws ErrnoException {
        MemorySegment readOnly = Libc.mmap(memory.number(), 0, 4096, Libc.PROT_READ, Libc.MAP_SHARED, arena);
        IoVector pieces = new IoVector();
        pieces.setStrided(arena.allocate(4096), 0, 1, 4096, 4096);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> Libc.processVmWritev(ProcessHandle.current().pid(), pieces, readOnly.address()))
                .withMessageStartingWith("process_vm_writev(pid=")
                .withMessageEndingWith("EFAULT (bad address)");
    }

    @Test
    void descriptorIsClosedOnce() {
        Descriptor descriptor = new Descriptor(memory.number());
        descriptor.close();
        descriptor.close();
        assertThatExceptionOfType(IllegalStateException.class).isThrownBy(descriptor::number);
        assertThatExceptionOfType(IllegalStateException.class)
                .isThrownBy(() -> memory.close())
                .withMessageEndingWith("was closed twice");
    }

    @Test
    void pollSeesTheSignalAndDrainTakesItBack() throws ErrnoException {
        try (EventFd bell = EventFd.open()) {
            PollSet set = new PollSet(bell.fd());
            assertThat(set.poll(0)).isZero();
            bell.signal();
            bell.signal();
            assertThat(set.poll(-1)).isEqualTo(1);
            assertThat(set.events(0)).isEqualTo(PollSet.POLLIN);
            assertThat(bell.drain()).isTrue();
            assertThat(bell.drain()).isFalse();
            assertThat(set.poll(1)).isZero();
        }
    }

    @Test
    @Timeout(30)
    void signalWakesAThreadThatPolls() throws Exception {
        try (EventFd bell = EventFd.open()) {
            CountDownLatch woken = new CountDownLatch(1);
            Thread waiter = Thread.ofPlatform().name("test-poll").start(() -> {
                try {
                    new PollSet(bell.fd()).poll(-1);
                    woken.countDown();
                } catch (ErrnoException e) {
                    throw new AssertionError(e);
                }
            });
            bell.signal();
            assertThat(woken.await(20, TimeUnit.SECONDS)).isTrue();
            waiter.join();
        }
    }

    @Test
    @Timeout(60)
    void pidfdBecomesReadableWhenTheProcessEnds() throws Exception {
        Process child = new ProcessBuilder("cat").start();
        try (Descriptor pidfd = new Descriptor(Libc.pidfdOpen(child.pid()))) {
            PollSet set = new PollSet(pidfd.number());
            assertThat(set.poll(0)).isZero();
            child.getOutputStream().close();
            assertThat(set.poll(-1)).isEqualTo(1);
        } finally {
            child.destroyForcibly().waitFor();
        }
    }

    @Test
    void hotCallsAllocateNothing() throws ErrnoException {
        MemorySegment buffer = arena.allocate(64 * 4096L);
        IoVector pieces = new IoVector();
        PagemapScan scan = new PagemapScan(16);
        try (Descriptor pagemap = new Descriptor(Libc.open(Path.of("/proc/self/pagemap"), Libc.O_RDONLY))) {
            // The compiler needs some thousand rounds before a call is free of garbage.
            long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
            long perRound;
            do {
                long before = allocatedBytes();
                for (int i = 0; i < 1000; i++) {
                    pieces.setStrided(buffer, 0, 32, 4096, 8192);
                    Libc.pwritev(memory.number(), pieces, 0);
                    pieces.setStrided(buffer, 0, 32, 4096, 8192);
                    Libc.preadv(memory.number(), pieces, 0);
                    Libc.lseek(memory.number(), 0, Libc.SEEK_HOLE);
                    scan.scan(pagemap.number(), buffer.address() & -4096, buffer.address() & -4096, 0, 0);
                }
                perRound = (allocatedBytes() - before) / 1000;
            } while (perRound != 0 && System.nanoTime() < deadline);
            assertThat(perRound).isZero();
        }
    }

    private static long allocatedBytes() {
        return ((ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }
}
