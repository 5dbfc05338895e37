package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.junit.jupiter.api.Assumptions.abort;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Java code must not touch the mapping: what is in it is looked at by pread on the file, and faults are the kernel's.
 */
@DisplayName("userfaultfd")
@Timeout(60)
class UserfaultfdTest {
    private static final int PAGE = 4096;
    private static final long LENGTH = 16 * PAGE;
    private static final long SHARED_RANGE_IOCTLS = 0x13C;

    private Arena arena;
    private Descriptor memory;
    private MemorySegment page;
    private long base;
    private Userfaultfd userfaultfd;

    @BeforeEach
    @SuppressWarnings("MustBeClosedChecker") // Closed in release.
    void register() throws ErrnoException {
        userfaultfd = openOrSkip();
        arena = Arena.ofShared();
        memory = new Descriptor(Libc.memfdCreate("uffd-test", Libc.MFD_CLOEXEC));
        Libc.ftruncate(memory.number(), LENGTH);
        int protection = Libc.PROT_READ | Libc.PROT_WRITE;
        base = Libc.mmap(memory.number(), 0, LENGTH, protection, Libc.MAP_SHARED, arena)
                .address();
        page = arena.allocate(PAGE, PAGE);
        page.set(JAVA_LONG, 0, 0x1122334455667788L);
    }

    private static Userfaultfd openOrSkip() throws ErrnoException {
        try {
            return Userfaultfd.open();
        } catch (ErrnoException e) {
            return abort("this host gives us no userfaultfd: " + e.getMessage());
        }
    }

    @AfterEach
    void release() {
        if (arena != null) {
            userfaultfd.close();
            memory.close();
            arena.close();
        }
    }

    private void registerMissing() throws ErrnoException {
        userfaultfd.api(Userfaultfd.FEATURE_MISSING_SHMEM | Userfaultfd.FEATURE_THREAD_ID);
        long ioctls = userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_MISSING);
        assertThat(ioctls & SHARED_RANGE_IOCTLS).isEqualTo(SHARED_RANGE_IOCTLS);
    }

    private long firstWordOf(int index) throws ErrnoException {
        MemorySegment in = arena.allocate(Long.BYTES, Long.BYTES);
        Libc.pread(memory.number(), in, 0, Long.BYTES, (long) index * PAGE);
        return in.get(JAVA_LONG, 0);
    }

    @Test
    void featureThatDoesNotExistIsRefusedAndAnotherTryIsFree() throws ErrnoException {
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> userfaultfd.api(1L << 60))
                .withMessageStartingWith("UFFDIO_API(fd=")
                .withMessageEndingWith("features=0x1000000000000000): EINVAL (invalid argument)");
        assertThat(userfaultfd.api(0) & Userfaultfd.FEATURE_MISSING_SHMEM).isNotZero();
    }

    @Test
    void pageIsPlacedOnce() throws ErrnoException {
        registerMissing();
        assertThat(userfaultfd.copy(base + PAGE, page, 0, PAGE, 0)).isEqualTo(Placement.PLACED);
        assertThat(userfaultfd.copy(base + PAGE, page, 0, PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
        assertThat(userfaultfd.zeropage(base + PAGE, PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
        assertThat(firstWordOf(1)).isEqualTo(0x1122334455667788L);
        assertThat(Libc.lseek(memory.number(), 0, Libc.SEEK_DATA)).isEqualTo(PAGE);
    }

    @Test
    void copyOfSeveralPagesStopsAtTheOneThatIsThere() throws ErrnoException {
        registerMissing();
        MemorySegment pages = arena.allocate(4 * PAGE, PAGE);
        pages.fill((byte) 3);
        assertThat(userfaultfd.copy(base + 2 * PAGE, page, 0, PAGE, 0)).isEqualTo(Placement.PLACED);
        assertThat(userfaultfd.copy(base, pages, 0, 4 * PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
        assertThat(firstWordOf(1)).isEqualTo(0x0303030303030303L);
        assertThat(firstWordOf(2)).isEqualTo(0x1122334455667788L);
        assertThat(Libc.lseek(memory.number(), 3 * PAGE, Libc.SEEK_DATA)).isEqualTo(-1);
    }

    @Test
    void zeroesArePlacedAsData() throws ErrnoException {
        registerMissing();
        assertThat(userfaultfd.zeropage(base, 2 * PAGE, Userfaultfd.DONTWAKE)).isEqualTo(Placement.PLACED);
        assertThat(userfaultfd.copy(base + PAGE, page, 0, PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
    }

    @Test
    void poisonAndMoveAnswer() throws ErrnoException {
        userfaultfd.api(Userfaultfd.FEATURE_POISON);
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_MISSING);
        assertThat(userfaultfd.poison(base, PAGE, 0)).isEqualTo(Placement.PLACED);
        assertThat(userfaultfd.poison(base, PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> userfaultfd.move(base + PAGE, base + 2 * PAGE, PAGE, 0))
                .withMessageStartingWith("UFFDIO_MOVE(")
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.EINVAL));
    }

    @Test
    void minorModeMapsWhatTheFileHas() throws ErrnoException {
        userfaultfd.api(Userfaultfd.FEATURE_MINOR_SHMEM);
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_MISSING | Userfaultfd.REGISTER_MINOR);
        Libc.pwrite(memory.number(), page, 0, PAGE, 3 * PAGE);
        assertThat(userfaultfd.continueFault(base + 3 * PAGE, PAGE, 0)).isEqualTo(Placement.PLACED);
        assertThat(userfaultfd.continueFault(base + 3 * PAGE, PAGE, 0)).isEqualTo(Placement.ALREADY_THERE);
    }

    @Test
    void rangeThatIsNotRegisteredIsAnError() throws ErrnoException {
        registerMissing();
        userfaultfd.unregister(base, LENGTH);
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> userfaultfd.copy(base, page, 0, PAGE, 0))
                .withMessage("UFFDIO_COPY(fd=%d start=%#x length=4096 mode=0): ENOENT (no such file)"
                        .formatted(userfaultfd.fd(), base));
    }

    @Test
    void faultIsReportedAndEndsWithThePage() throws ErrnoException {
        registerMissing();
        PollSet ready = new PollSet(userfaultfd.fd());
        UffdMessages messages = new UffdMessages(8);
        assertThat(messages.read(userfaultfd.fd())).isZero();

        CompletableFuture<Void> guest = CompletableFuture.runAsync(() -> faultInTheKernel(base + 5 * PAGE));
        assertThat(ready.poll(-1)).isEqualTo(1);
        assertThat(messages.read(userfaultfd.fd())).isEqualTo(1);
        assertThat(messages.event(0)).isEqualTo(UffdMessages.EVENT_PAGEFAULT);
        assertThat(messages.faultHostVirtual(0)).isEqualTo(base + 5 * PAGE);
        assertThat(messages.faultFlags(0)).isEqualTo(UffdMessages.PAGEFAULT_WRITE);
        assertThat(messages.faultThread(0)).isPositive();

        userfaultfd.wake(base, LENGTH);
        assertThat(ready.poll(-1)).as("after a wake the page is still missing").isEqualTo(1);
        assertThat(messages.read(userfaultfd.fd())).isEqualTo(1);

        assertThat(userfaultfd.copy(base + 5 * PAGE, page, 0, PAGE, 0)).isEqualTo(Placement.PLACED);
        guest.join();
        assertThat(messages.read(userfaultfd.fd())).isZero();
        assertThat(firstWordOf(5)).isEqualTo(0x1122334455667788L);
    }

    /**
     * Writes byte 8 of the page from within a system call. The thread is in native code, so a safepoint does not wait
     * for it.
     */
    private void faultInTheKernel(long hostVirtual) {
        IoVector one = new IoVector();
        one.setStrided(page, 8, 1, 1, 1);
        try {
            Libc.processVmWritev(ProcessHandle.current().pid(), one, hostVirtual + 8);
        } catch (ErrnoException e) {
            throw new CompletionException(e);
        }
    }

    @Test
    void writeProtectionCanBeSetForAWholeRange() throws ErrnoException {
        userfaultfd.api(Userfaultfd.FEATURE_PAGEFAULT_FLAG_WP
                | Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM
                | Userfaultfd.FEATURE_WP_UNPOPULATED
                | Userfaultfd.FEATURE_WP_ASYNC);
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_WP);
        userfaultfd.writeProtect(base, LENGTH, true);
        faultInTheKernel(base + 2 * PAGE);
        PagemapScan scan = new PagemapScan(4);
        try (Descriptor pagemap = new Descriptor(Libc.open(Path.of("/proc/self/pagemap"), Libc.O_RDONLY))) {
            int found = scan.scan(
                    pagemap.number(), base, base + LENGTH, PagemapScan.CHECK_WPASYNC, PagemapScan.PAGE_WRITTEN);
            assertThat(found).isEqualTo(1);
            assertThat(scan.regionStart(0)).isEqualTo(base + 2 * PAGE);
            assertThat(scan.regionEnd(0)).isEqualTo(base + 3 * PAGE);
            assertThat(scan.walkEnd()).isEqualTo(base + LENGTH);
        }
    }

    @Test
    void featuresAreThoseThatWereSwitchedOn() throws IOException {
        assertThat(userfaultfd.features()).isZero();
        long wanted = Userfaultfd.FEATURE_THREAD_ID | Userfaultfd.FEATURE_EVENT_REMOVE;
        userfaultfd.api(wanted);
        assertThat(userfaultfd.features() & 0xFFFF).isEqualTo(wanted);
    }

    @Test
    void onlyTheEndOfARegistrationTakesAModeAway() throws IOException {
        userfaultfd.api(Userfaultfd.FEATURE_PAGEFAULT_FLAG_WP
                | Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM
                | Userfaultfd.FEATURE_WP_ASYNC);
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_WP);
        assertThat(modes()).contains("uw").doesNotContain("um");
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_MISSING | Userfaultfd.REGISTER_WP);
        assertThat(modes()).contains("uw", "um");
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_WP);
        assertThat(modes()).contains("uw", "um");
        userfaultfd.unregister(base, LENGTH);
        userfaultfd.register(base, LENGTH, Userfaultfd.REGISTER_WP);
        assertThat(modes()).contains("uw").doesNotContain("um");
    }

    /** VmFlags of the mapping, as /proc/PID/smaps has them: um is registered for missing pages, uw for protection. */
    private List<String> modes() throws IOException {
        return Files.readAllLines(Path.of("/proc/self/smaps")).stream()
                .dropWhile(line -> !line.startsWith(Long.toHexString(base) + "-"))
                .filter(line -> line.startsWith("VmFlags:"))
                .map(line -> List.of(line.split(" ", -1)))
                .findFirst()
                .orElseThrow();
    }
}
