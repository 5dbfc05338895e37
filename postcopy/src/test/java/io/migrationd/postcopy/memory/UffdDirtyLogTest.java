package io.migrationd.postcopy.memory;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.awaitility.Awaitility.await;
import static org.junit.jupiter.api.Assumptions.abort;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Libc;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.awaitility.core.ConditionTimeoutException;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Dirty log over PAGEMAP_SCAN")
@Timeout(120)
class UffdDirtyLogTest {
    private static final int PAGE = 4096;
    private static final long HUGE_PAGE = 2 << 20;
    private static final long SELF = ProcessHandle.current().pid();

    @BeforeAll
    static void needsWriteTracking() {
        List<String> missing = HostFeatures.probe().missing(List.of(HostFeature.WP_ASYNC, HostFeature.PAGEMAP_SCAN));
        assumeTrue(missing.isEmpty(), () -> String.join(" ", missing));
    }

    /** A tracked block of our own process. */
    private record Tracked(
            FdRamBlock block, SharedMapping mapping, WriteTracking tracking, DirtyLog log, PageBitmap dirty)
            implements AutoCloseable {
        static Tracked of(int pages) throws ErrnoException {
            FdRamBlock block = FdRamBlock.createMemory("ram", (long) pages * PAGE);
            SharedMapping mapping = SharedMapping.of(block);
            WriteTracking tracking = WriteTracking.of(List.of(mapping));
            DirtyLog log = UffdDirtyLog.open(SELF, List.of(mapping.range("ram")), PAGE);
            return new Tracked(block, mapping, tracking, log, new PageBitmap(pages));
        }

        /** Collects into a bitmap that was cleared before. */
        PageBitmap collect() throws ErrnoException {
            dirty.clear(0, dirty.pageCount());
            assertThat(log.collect(block, dirty)).isEqualTo(dirty.cardinality());
            return dirty;
        }

        void write(long page) {
            mapping.segment().set(JAVA_LONG, page * PAGE, 1);
        }

        @Override
        public void close() {
            log.close();
            tracking.close();
            mapping.close();
            block.close();
        }
    }

    @Test
    void firstCollectionMarksEveryPage() throws ErrnoException {
        try (Tracked tracked = Tracked.of(1000)) {
            assertThat(tracked.collect().cardinality()).isEqualTo(1000);
            assertThat(tracked.collect().cardinality()).isZero();
        }
    }

    @Test
    void firstCollectionOfASecondLogMarksEveryPageToo() throws ErrnoException {
        try (Tracked tracked = Tracked.of(100)) {
            tracked.collect();
            try (DirtyLog second =
                    UffdDirtyLog.open(SELF, List.of(tracked.mapping().range("ram")), PAGE)) {
                PageBitmap dirty = new PageBitmap(100);
                assertThat(second.collect(tracked.block(), dirty)).isEqualTo(100);
            }
        }
    }

    @Test
    void onlyWrittenPagesAreCollectedAndOnlyOnce() throws ErrnoException {
        try (Tracked tracked = Tracked.of(1000)) {
            tracked.write(3);
            tracked.collect();
            tracked.write(3);
            tracked.write(4);
            tracked.write(999);
            assertThat(tracked.mapping().segment().get(JAVA_LONG, 500L * PAGE)).isZero();

            PageBitmap dirty = tracked.collect();
            assertThat(dirty.cardinality()).isEqualTo(3);
            assertThat(dirty.get(3) && dirty.get(4) && dirty.get(999)).isTrue();
            assertThat(tracked.collect().cardinality()).isZero();
        }
    }

    @Test
    void countTellsOnlyBitsThatWereClear() throws ErrnoException {
        try (Tracked tracked = Tracked.of(100)) {
            tracked.collect();
            tracked.dirty().clear(0, 100);
            tracked.dirty().set(7);
            tracked.write(7);
            tracked.write(8);
            assertThat(tracked.log().collect(tracked.block(), tracked.dirty())).isEqualTo(1);
        }
    }

    @Test
    void moreRegionsThanTheVectorHoldsAreAllCollected() throws ErrnoException {
        int pages = 20_000;
        try (Tracked tracked = Tracked.of(pages)) {
            tracked.collect();
            for (int page = 0; page < pages; page += 2) {
                tracked.write(page);
            }
            PageBitmap dirty = tracked.collect();
            assertThat(dirty.cardinality()).isEqualTo(pages / 2);
            assertThat(dirty.nextSet(1)).isEqualTo(2);
            assertThat(dirty.nextClear(pages - 2)).isEqualTo(pages - 1);
        }
    }

    @Test
    void oneWriteToAHugePageMarksAllOfIt() throws ErrnoException {
        long pagesOfHuge = HUGE_PAGE / PAGE;
        try (FdRamBlock block = FdRamBlock.createHugeMemory("ram", 2 * HUGE_PAGE);
                SharedMapping mapping = mapOrSkip(block);
                WriteTracking _ = WriteTracking.of(List.of(mapping));
                DirtyLog log = UffdDirtyLog.open(SELF, List.of(mapping.range("ram")), PAGE)) {
            PageBitmap dirty = new PageBitmap(2 * pagesOfHuge);
            assertThat(log.collect(block, dirty)).isEqualTo(2 * pagesOfHuge);
            dirty.clear(0, dirty.pageCount());
            assertThat(log.collect(block, dirty)).isZero();
            mapping.segment().set(JAVA_LONG, HUGE_PAGE + 5 * PAGE, 1);
            assertThat(log.collect(block, dirty)).isEqualTo(pagesOfHuge);
            assertThat(dirty.nextSet(0)).isEqualTo(pagesOfHuge);
        }
    }

    @Test
    void partOfAHugePageIsRefused() throws ErrnoException {
        try (FdRamBlock huge = FdRamBlock.createHugeMemory("huge", HUGE_PAGE);
                FdRamBlock small = FdRamBlock.createMemory("ram", PAGE);
                SharedMapping mapping = mapOrSkip(huge);
                WriteTracking _ = WriteTracking.of(List.of(mapping));
                DirtyLog log = UffdDirtyLog.open(
                        SELF, List.of(new GuestRange("ram", mapping.segment().address() + PAGE, PAGE)), PAGE)) {
            mapping.segment().set(JAVA_LONG, 0, 1);
            assertThatExceptionOfType(ErrnoException.class)
                    .isThrownBy(() -> log.collect(small, new PageBitmap(1)))
                    .withMessageContaining("is not wholly in GuestRange[blockName=ram");
        }
    }

    private static SharedMapping mapOrSkip(FdRamBlock hugePages) throws ErrnoException {
        try {
            return SharedMapping.of(hugePages);
        } catch (ErrnoException e) {
            return abort("no huge pages are reserved on this host (vm.nr_hugepages): " + e.getMessage());
        }
    }

    @Test
    void writesPastTheMappingAreNotSeen() throws ErrnoException {
        try (Tracked tracked = Tracked.of(10);
                Arena arena = Arena.ofConfined()) {
            tracked.collect();
            tracked.block().writePages(0, 1, PAGE, arena.allocate(PAGE), 0, PAGE);
            assertThat(tracked.collect().cardinality()).isZero();
        }
    }

    @Test
    void noWriteBetweenCollectionsIsLost() throws Exception {
        int pages = 512;
        try (Tracked tracked = Tracked.of(pages);
                Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocate((long) pages * PAGE);
            AtomicBoolean stop = new AtomicBoolean();
            CountDownLatch started = new CountDownLatch(1);
            Thread writer = Thread.ofPlatform().name("test-writer").start(() -> {
                Random random = new Random(42);
                MemorySegment memory = tracked.mapping().segment();
                while (!stop.get()) {
                    long at =
                            random.nextInt(pages) * (long) PAGE + random.nextInt(PAGE / Long.BYTES) * (long) Long.BYTES;
                    memory.set(JAVA_LONG, at, memory.get(JAVA_LONG, at) + 1);
                    started.countDown();
                }
            });
            started.await();
            for (int round = 0; round < 300; round++) {
                copyDirty(tracked, copy);
            }
            stop.set(true);
            writer.join();
            copyDirty(tracked, copy);
            assertThat(copy.mismatch(tracked.mapping().segment())).isEqualTo(-1);
            assertThat(tracked.collect().cardinality()).isZero();
        }
    }

    private static void copyDirty(Tracked tracked, MemorySegment copy) throws ErrnoException {
        PageBitmap dirty = tracked.collect();
        for (long page = dirty.nextSet(0); page < dirty.pageCount(); page = dirty.nextSet(page + 1)) {
            tracked.block().readPages(page * PAGE, 1, PAGE, copy, page * PAGE, PAGE);
        }
    }

    @Test
    void rangeThatIsNotTrackedIsRefused() throws ErrnoException {
        try (FdRamBlock block = FdRamBlock.createMemory("ram", 4 * PAGE);
                SharedMapping mapping = SharedMapping.of(block);
                DirtyLog log = UffdDirtyLog.open(SELF, List.of(mapping.range("ram")), PAGE)) {
            assertThatExceptionOfType(ErrnoException.class)
                    .isThrownBy(() -> log.collect(block, new PageBitmap(4)))
                    .withMessage(
                            "PAGEMAP_SCAN(block=ram pid=" + SELF
                                    + ": the range is not registered for asynchronous write protection): EPERM (operation not permitted)");
        }
    }

    @Test
    void blockMustBeTheOneThatWasAnnounced() throws ErrnoException {
        try (Tracked tracked = Tracked.of(10);
                FdRamBlock other = FdRamBlock.createMemory("vga", 10 * PAGE);
                FdRamBlock longer = FdRamBlock.createMemory("ram", 11 * PAGE)) {
            assertThatIllegalArgumentException().isThrownBy(() -> tracked.log().collect(other, new PageBitmap(10)));
            assertThatIllegalArgumentException().isThrownBy(() -> tracked.log().collect(longer, new PageBitmap(11)));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> tracked.log().collect(tracked.block(), new PageBitmap(11)));
        }
    }

    @Test
    void otherProcessIsTrackedUntilItEnds() throws Exception {
        int pages = 256;
        Process guest = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        WritingGuest.class.getName(),
                        Long.toString((long) pages * PAGE))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        try (BufferedReader answers = new BufferedReader(new InputStreamReader(guest.getInputStream(), UTF_8));
                PrintStream orders = new PrintStream(guest.getOutputStream(), true, UTF_8)) {
            String[] hello = answers.readLine().split(" ", -1);
            Path memory = Path.of("/proc/" + guest.pid() + "/fd/" + hello[0]);
            GuestRange range = new GuestRange("ram", Long.parseLong(hello[1]), (long) pages * PAGE);
            Descriptor received = new Descriptor(Libc.open(memory, Libc.O_RDWR));
            try (FdRamBlock block = FdRamBlock.adopt("ram", received, 0, (long) pages * PAGE);
                    DirtyLog log = UffdDirtyLog.open(guest.pid(), List.of(range), PAGE)) {
                collectsWhatTheGuestWrites(block, log, orders, answers);
                guest.getOutputStream().close();
                guest.waitFor();
                // Whoever reads its files in /proc just then keeps its memory for that moment.
                PageBitmap left = new PageBitmap(pages);
                try {
                    await().atMost(Duration.ofSeconds(10)).until(() -> hasEnded(log, block, left));
                } catch (ConditionTimeoutException e) {
                    abort("this kernel keeps the memory of an ended process, so that it can still be scanned");
                }
                assertThatExceptionOfType(ErrnoException.class)
                        .isThrownBy(() -> log.collect(block, left))
                        .withMessage("PAGEMAP_SCAN(block=ram pid=" + guest.pid()
                                + ": the process has ended): ESRCH (no such process)");
            }
        } finally {
            guest.destroyForcibly().waitFor();
        }
    }

    private static boolean hasEnded(DirtyLog log, FdRamBlock block, PageBitmap left) {
        try {
            log.collect(block, left);
            return false;
        } catch (IOException e) {
            return true;
        }
    }

    private static void collectsWhatTheGuestWrites(
            FdRamBlock block, DirtyLog log, PrintStream orders, BufferedReader answers) throws IOException {
        PageBitmap dirty = new PageBitmap(block.lengthBytes() / PAGE);
        log.collect(block, dirty);
        for (long page : new long[] {0, 17, 255, 17}) {
            dirty.clear(0, dirty.pageCount());
            orders.println(page);
            assertThat(answers.readLine()).isEqualTo("written " + page);
            assertThat(log.collect(block, dirty)).isEqualTo(1);
            assertThat(dirty.nextSet(0)).isEqualTo(page);
        }
    }

    @Test
    void processThatDoesNotExistIsRefused() {
        assertThatExceptionOfType(ErrnoException.class)
                .isThrownBy(() -> UffdDirtyLog.open(Integer.MAX_VALUE, List.of(), PAGE))
                .satisfies(e -> assertThat(e.errno()).isEqualTo(Errno.ENOENT));
    }
}
