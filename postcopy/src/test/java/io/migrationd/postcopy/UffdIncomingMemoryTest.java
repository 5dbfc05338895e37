package io.migrationd.postcopy;

import static io.migrationd.postcopy.PagedGuest.FEATURES;
import static io.migrationd.postcopy.PagedGuest.NAME;
import static io.migrationd.postcopy.PagedGuest.PAGE;
import static io.migrationd.postcopy.PagedGuest.await;
import static io.migrationd.postcopy.PagedGuest.get;
import static io.migrationd.postcopy.PagedGuest.isPage;
import static io.migrationd.postcopy.PagedGuest.word;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.migrationd.postcopy.PagedGuest.Asked;
import io.migrationd.postcopy.memory.GuestRange;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.UffdDirtyLog;
import io.migrationd.postcopy.os.Libc;
import io.migrationd.postcopy.os.Placement;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Memory of a guest that runs while its pages arrive")
@Timeout(60)
class UffdIncomingMemoryTest {
    @Test
    void faultAsksForThePageAndGoesOnWithItsBytes() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<long[]> seen = guest.read(5);
            assertThat(guest.nextAsked()).isEqualTo(new Asked(NAME, 5 * PAGE, PAGE));
            assertThat(memory.report().pending()).isEqualTo(1);
            assertThat(seen.isDone()).isFalse();

            memory.place(guest.block, 5 * PAGE, guest.page(5, 1), 0);
            assertThat(isPage(get(seen), 5, 1)).isTrue();
            assertThat(guest.block.received().get(5)).isTrue();
            FaultReport report = memory.report();
            assertThat(report.requests()).isEqualTo(1);
            assertThat(report.pending()).isZero();
            assertThat(report.faults()).isEqualTo(1);
            assertThat(report.p99Micros()).isPositive().isEqualTo(report.maxMicros());
            assertThat(report.buckets()).hasSize(24);
            assertThat(report.buckets().stream().mapToLong(Long::longValue).sum())
                    .isEqualTo(1);
            assertThat(report.threadBlocktimeMillis()).hasSize(1);
            assertThat(report.threadBlocktimeMillis().keySet()).allMatch(thread -> thread > 0);
        }
    }

    @Test
    void manyThreadsOnOnePageAskOnce() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            List<Future<long[]>> readers = new ArrayList<>();
            for (int i = 0; i < 8; i++) {
                readers.add(guest.read(3));
            }
            guest.nextAsked();
            await(
                    "8 threads wait",
                    () -> memory.report().threadBlocktimeMillis().size() == 8);
            memory.place(guest.block, 3 * PAGE, guest.page(3, 1), 0);
            for (Future<long[]> reader : readers) {
                assertThat(isPage(get(reader), 3, 1)).isTrue();
            }
            assertThat(guest.asked).isEmpty();
            assertThat(memory.report().faults()).isEqualTo(8);
            assertThat(memory.report().requests()).isEqualTo(1);
        }
    }

    @Test
    void writeWaitsForThePageAndIsKept() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<?> written = guest.write(2, 8, 42);
            guest.nextAsked();
            memory.place(guest.block, 2 * PAGE, guest.page(2, 1), 0);
            get(written);
            assertThat(guest.wordInFile(2, 8)).isEqualTo(42);
            assertThat(guest.wordInFile(2, 16)).isEqualTo(word(2, 1, 16));
        }
    }

    @Test
    void secondCopyOfAPageIsDropped() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            get(guest.write(0, 0, 42));
            memory.place(guest.block, 0, guest.page(0, 2), 0);
            memory.placeZero(guest.block, 0);
            assertThat(guest.wordInFile(0, 0)).isEqualTo(42);
            assertThat(guest.wordInFile(0, 8)).isEqualTo(word(0, 1, 8));
        }
    }

    /** Pages as they lie in a stream: a header of 8 bytes before each. */
    private static MemorySegment run(PagedGuest guest, int first, int count, long salt) {
        MemorySegment bytes = Arena.ofAuto().allocate(count * (PAGE + 8L), 8);
        for (int i = 0; i < count; i++) {
            MemorySegment.copy(guest.page(first + i, salt), 0, bytes, 8 + i * (PAGE + 8L), PAGE);
        }
        return bytes;
    }

    @Test
    void runIsPlacedAndWakesWhoWaitsForOneOfIt() throws Exception {
        try (PagedGuest guest = PagedGuest.of(64);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<long[]> seen = guest.read(23);
            guest.nextAsked();
            memory.placeRun(guest.block, 3 * PAGE, 40, run(guest, 3, 40, 1), 8, PAGE + 8);
            assertThat(isPage(get(seen), 23, 1)).isTrue();
            assertThat(memory.report().pending()).isZero();
            for (int page = 0; page < 64; page++) {
                assertThat(guest.block.received().get(page)).isEqualTo(page >= 3 && page < 43);
            }
            for (int page = 3; page < 43; page++) {
                assertThat(isPage(get(guest.read(page)), page, 1)).isTrue();
            }
        }
    }

    @Test
    void runLeavesWhatIsThereAsItIs() throws Exception {
        try (PagedGuest guest = PagedGuest.of(64);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            memory.place(guest.block, 5 * PAGE, guest.page(5, 1), 0);
            get(guest.write(5, 0, 42));
            guest.ram.writePages(20 * PAGE, 1, PAGE, guest.page(20, 1), 0, PAGE); // Nobody knows of this one.
            Future<long[]> seen = guest.read(21);
            guest.nextAsked();

            memory.placeRun(guest.block, 0, 32, run(guest, 0, 32, 2), 8, PAGE + 8);
            assertThat(isPage(get(seen), 21, 2)).isTrue();
            assertThat(guest.wordInFile(5, 0)).isEqualTo(42);
            assertThat(guest.wordInFile(5, 8)).isEqualTo(word(5, 1, 8));
            assertThat(isPage(get(guest.read(20)), 20, 1)).isTrue();
            for (int page : new int[] {0, 4, 6, 19, 31}) {
                assertThat(isPage(get(guest.read(page)), page, 2)).isTrue();
            }
            assertThat(guest.block.received().cardinality()).isEqualTo(32);
        }
    }

    @Test
    void runBeyondTheBlockIsRefused() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.placeRun(guest.block, 15 * PAGE, 2, run(guest, 15, 2, 1), 8, PAGE + 8));
        }
    }

    @Test
    void pageThatIsThereUnnoticedStaysAndItsWaitersGoOn() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<long[]> seen = guest.read(4);
            guest.nextAsked();
            guest.ram.writePages(4 * PAGE, 1, PAGE, guest.page(4, 1), 0, PAGE);
            memory.place(guest.block, 4 * PAGE, guest.page(4, 2), 0);
            assertThat(isPage(get(seen), 4, 1)).isTrue();
            assertThat(guest.block.received().get(4)).isTrue();
        }
    }

    @Test
    void zeroPageIsPlacedAsAPage() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<long[]> seen = guest.read(6);
            guest.nextAsked();
            memory.placeZero(guest.block, 6 * PAGE);
            assertThat(get(seen)).containsOnly(0);
            assertThat(guest.ram.nextData(0)).isEqualTo(6 * PAGE);
            assertThat(guest.asked).isEmpty();
        }
    }

    @Test
    void holeThatWasReceivedIsZeroesWithoutAsking() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            guest.block.received().set(7, 8);
            memory.start(guest);
            assertThat(get(guest.read(7))).containsOnly(0);
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            guest.ram.punchHole(0, PAGE);
            assertThat(get(guest.read(0))).as("what the guest has given up").containsOnly(0);
            assertThat(guest.asked).isEmpty();
            assertThat(memory.report().requests()).isZero();
        }
    }

    @Test
    void parkedFaultsAreAskedForInTheirOrderAfterwards() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<long[]> _ = guest.read(9);
            guest.nextAsked();
            memory.park();
            List<Future<long[]>> readers = new ArrayList<>();
            for (int page : new int[] {3, 12, 1}) {
                int before = readers.size();
                readers.add(guest.read(page));
                await("the fault is taken in", () -> memory.report().pending() == before + 2);
            }
            memory.place(guest.block, 12 * PAGE, guest.page(12, 1), 0);
            assertThat(isPage(get(readers.get(1)), 12, 1))
                    .as("placement goes on")
                    .isTrue();
            assertThat(guest.asked).isEmpty();

            memory.resume();
            assertThat(guest.asked).extracting(Asked::start).containsExactly(9L * PAGE, 3L * PAGE, (long) PAGE);
            guest.asked.clear();
            Future<long[]> _ = guest.read(8);
            assertThat(guest.nextAsked().start()).isEqualTo(8 * PAGE);
        }
    }

    @Test
    void failedRequestStaysAndIsAskedAgain() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            guest.connected = false;
            Future<long[]> seen = guest.read(5);
            await("the fault is taken in, and the request fails", () -> guest.refused.get() == 1);
            memory.park();
            assertThatExceptionOfType(IOException.class)
                    .isThrownBy(memory::resume)
                    .withMessage("no connection");
            guest.connected = true;
            Future<long[]> _ = guest.read(6);
            await("the fault is taken in", () -> memory.report().pending() == 2);
            assertThat(guest.asked).as("still parked").isEmpty();
            memory.resume();
            assertThat(guest.asked).extracting(Asked::start).containsExactly(5L * PAGE, 6L * PAGE);
            memory.place(guest.block, 5 * PAGE, guest.page(5, 1), 0);
            assertThat(isPage(get(seen), 5, 1)).isTrue();
        }
    }

    @Test
    void faultThatADeadPredecessorHasReadIsRaisedAgain() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16)) {
            Future<long[]> seen;
            try (UffdIncomingMemory predecessor = guest.memory()) {
                predecessor.start(guest);
                predecessor.place(guest.block, 0, guest.page(0, 1), 0);
                seen = guest.read(5);
                guest.nextAsked();
            }
            get(guest.write(0, 0, 42));
            IncomingBlock reopened = guest.anotherBlock();
            PresentPages.mark(reopened);
            assertThat(reopened.received().cardinality()).isEqualTo(1);
            try (UffdIncomingMemory memory = UffdIncomingMemory.of(
                    "8", List.of(reopened), List.of(guest.mapping.range(NAME)), guest.userfaultfd)) {
                memory.start(guest);
                assertThat(guest.nextAsked()).isEqualTo(new Asked(NAME, 5 * PAGE, PAGE));
                memory.place(reopened, 5 * PAGE, guest.page(5, 1), 0);
                assertThat(isPage(get(seen), 5, 1)).isTrue();
                memory.place(reopened, 0, guest.page(0, 1), 0);
                assertThat(guest.wordInFile(0, 0)).isEqualTo(42);
            }
        }
    }

    @Test
    void pageThatTheGuestWroteIsKeptWhenNobodyKnowsThatItIsThere() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16)) {
            try (UffdIncomingMemory predecessor = guest.memory()) {
                predecessor.start(guest);
                predecessor.place(guest.block, 0, guest.page(0, 1), 0);
            }
            get(guest.write(0, 0, 42));
            IncomingBlock forgotten = guest.anotherBlock();
            try (UffdIncomingMemory memory = UffdIncomingMemory.of(
                    "8", List.of(forgotten), List.of(guest.mapping.range(NAME)), guest.userfaultfd)) {
                memory.start(guest);
                memory.place(forgotten, 0, guest.page(0, 1), 0);
                assertThat(forgotten.received().get(0)).isTrue();
                assertThat(guest.wordInFile(0, 0)).isEqualTo(42);
            }
        }
    }

    @Test
    void finishNeedsEveryPage() throws Exception {
        try (PagedGuest guest = PagedGuest.of(3);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            memory.place(guest.block, 2 * PAGE, guest.page(2, 1), 0);
            assertThat(memory.isComplete()).isFalse();
            assertThatIllegalStateException()
                    .isThrownBy(memory::finish)
                    .withMessage("page 1 of block ram is missing, and 2 of 3 are there");
            Future<long[]> seen = guest.read(1);
            guest.nextAsked();
            memory.place(guest.block, PAGE, guest.page(1, 1), 0);
            assertThat(isPage(get(seen), 1, 1))
                    .as("faults are served after a refusal")
                    .isTrue();
            assertThat(memory.isComplete()).isTrue();
        }
    }

    @Test
    void afterTheFinishHolesAreOrdinaryAndWritesAreTracked() throws Exception {
        try (PagedGuest guest = PagedGuest.of(8);
                UffdIncomingMemory memory = guest.memory()) {
            guest.block.received().set(0, 4);
            memory.start(guest);
            for (int page = 4; page < 8; page++) {
                memory.place(guest.block, (long) page * PAGE, guest.page(page, 1), 0);
            }
            memory.finish();
            assertThat(get(guest.read(0))).containsOnly(0);

            PageBitmap dirty = new PageBitmap(8);
            List<GuestRange> ranges = List.of(guest.mapping.range(NAME));
            try (UffdDirtyLog log = UffdDirtyLog.open(ProcessHandle.current().pid(), ranges, PAGE)) {
                assertThat(log.collect(guest.ram, dirty)).isEqualTo(8);
                dirty.clear(0, 8);
                assertThat(log.collect(guest.ram, dirty)).isZero();
                get(guest.write(1, 0, 1));
                get(guest.write(6, 0, 1));
                get(guest.read(7));
                assertThat(log.collect(guest.ram, dirty)).isEqualTo(2);
                assertThat(dirty.get(1) && dirty.get(6)).isTrue();
            }
            assertThat(threadNames()).noneMatch("mig-fault-7"::equals);
        }
    }

    private static List<String> threadNames() {
        return Thread.getAllStackTraces().keySet().stream().map(Thread::getName).toList();
    }

    @Test
    void writesAreTrackedWhilePagesArriveToo() throws Exception {
        try (PagedGuest guest = PagedGuest.of(8);
                UffdIncomingMemory memory = guest.memory();
                UffdDirtyLog log =
                        UffdDirtyLog.open(ProcessHandle.current().pid(), List.of(guest.mapping.range(NAME)), PAGE)) {
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            PageBitmap dirty = new PageBitmap(8);
            log.collect(guest.ram, dirty);
            memory.start(guest);
            dirty.clear(0, 8);
            assertThat(log.collect(guest.ram, dirty))
                    .as("the registration changes nothing")
                    .isZero();
            get(guest.write(0, 0, 1));
            memory.place(guest.block, 3 * PAGE, guest.page(3, 1), 0);
            assertThat(log.collect(guest.ram, dirty)).isEqualTo(2);
            assertThat(dirty.get(0) && dirty.get(3)).isTrue();
        }
    }

    @Test
    void whatTheGuestRemovesIsNotPlacedAnyMore() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16, FEATURES | Userfaultfd.FEATURE_EVENT_REMOVE);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            memory.place(guest.block, 2 * PAGE, guest.page(2, 1), 0);
            Future<long[]> waiting = guest.read(3);
            guest.nextAsked();
            get(guest.run(() -> {
                Libc.madvise(guest.mapping.segment().asSlice(2 * PAGE, 2 * PAGE), Libc.MADV_REMOVE);
                return true;
            }));
            assertThat(get(waiting)).containsOnly(0);
            memory.place(guest.block, 3 * PAGE, guest.page(3, 1), 0);
            assertThat(get(guest.read(2))).containsOnly(0);
            assertThat(get(guest.read(3))).containsOnly(0);
            assertThat(memory.report().pending()).isZero();
            memory.place(guest.block, 4 * PAGE, guest.page(4, 1), 0);
            assertThat(isPage(get(guest.read(4)), 4, 1))
                    .as("the neighbours stay")
                    .isTrue();
        }
    }

    @Test
    void placementWaitsForAChangeOfTheMappingsToBeRead() throws Exception {
        try (PagedGuest guest = PagedGuest.of(64, FEATURES | Userfaultfd.FEATURE_EVENT_REMOVE);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<Boolean> removing = guest.run(() -> {
                for (int i = 0; i < 200; i++) {
                    Libc.madvise(guest.mapping.segment().asSlice(0, PAGE), Libc.MADV_REMOVE);
                }
                return true;
            });
            for (int page = 1; page < 64; page++) {
                memory.place(guest.block, (long) page * PAGE, guest.page(page, 1), 0);
            }
            get(removing);
            for (int page = 1; page < 64; page++) {
                assertThat(isPage(get(guest.read(page)), page, 1)).isTrue();
            }
        }
    }

    @Test
    void changesThatNobodyReadsEndThePlacement() throws Exception {
        try (PagedGuest guest = PagedGuest.of(4, FEATURES | Userfaultfd.FEATURE_EVENT_REMOVE)) {
            UffdIncomingMemory memory = guest.memory();
            try (memory) {
                memory.start(guest);
            }
            Future<Boolean> removing = guest.run(() -> {
                Libc.madvise(guest.mapping.segment().asSlice(0, PAGE), Libc.MADV_REMOVE);
                return true;
            });
            long base = guest.mapping.segment().address();
            await("the removal is under way", () -> answer(guest, base + 2 * PAGE) == Placement.RETRY);
            assertThatExceptionOfType(IOException.class)
                    .isThrownBy(() -> memory.place(guest.block, PAGE, guest.page(1, 1), 0))
                    .withMessage("page 4096 of block ram: the guest's mappings have been changing for 5 s");
            assertThat(removing.isDone()).isFalse();
        }
    }

    private static Placement answer(PagedGuest guest, long hostVirtual) {
        try {
            return guest.userfaultfd.zeropage(hostVirtual, PAGE, 0);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @Test
    void guestThatForksIsRefused() throws Exception {
        try (PagedGuest guest = PagedGuest.of(4, FEATURES | Userfaultfd.FEATURE_EVENT_FORK);
                UffdIncomingMemory memory = guest.memory()) {
            assertThatExceptionOfType(IOException.class)
                    .isThrownBy(() -> memory.start(guest))
                    .withMessageEndingWith("forks and remaps are not served");
        }
    }

    @Test
    void pagesAreWholePagesOfKnownBlocks() throws Exception {
        try (PagedGuest guest = PagedGuest.of(4);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            for (long offset : new long[] {-PAGE, 1, 4 * PAGE, Long.MIN_VALUE}) {
                assertThatIllegalArgumentException()
                        .isThrownBy(() -> memory.placeZero(guest.block, offset))
                        .withMessageContaining("has no page of 4096 bytes at " + offset);
            }
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> memory.placeZero(guest.anotherBlock(), 0))
                    .withMessage("block ram is not of this memory");
            assertThatIllegalStateException().isThrownBy(() -> memory.start(guest));
            IncomingBlock coarse = new IncomingBlock(guest.ram, 4 * PAGE);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> UffdIncomingMemory.of(
                            "8", List.of(coarse), List.of(guest.mapping.range(NAME)), guest.userfaultfd))
                    .withMessageContaining("guest pages of 16384 are not whole");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> UffdIncomingMemory.of(
                            "8", List.of(guest.block), List.of(guest.mapping.range("vga")), guest.userfaultfd))
                    .withMessageStartingWith("block ram of 16384 bytes is none of");
        }
    }

    @Test
    void guestThatHasEndedIsSaidSo() throws Exception {
        try (EndingGuest guest = EndingGuest.start();
                UffdIncomingMemory memory = guest.memory()) {
            memory.start((block, start, lengthBytes) -> {});
            memory.placeZero(guest.block(), 0);
            guest.end();
            assertThatExceptionOfType(IOException.class)
                    .isThrownBy(() -> memory.placeZero(guest.block(), PAGE))
                    .withMessage("UFFDIO_ZEROPAGE(block=ram: the guest's process has ended): ESRCH (no such process)");
        }
    }

    @Test
    void everyThreadWaitingIsBlocktime() throws Exception {
        try (PagedGuest guest = PagedGuest.of(16);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            List<Future<long[]>> readers = List.of(guest.read(1), guest.read(2));
            guest.nextAsked();
            guest.nextAsked();
            await(
                    "both have waited",
                    () -> memory.report().threadBlocktimeMillis().values().stream()
                            .allMatch(millis -> millis >= 5));
            assertThat(memory.report().threadBlocktimeMillis()).hasSize(2);
            memory.place(guest.block, PAGE, guest.page(1, 1), 0);
            memory.place(guest.block, 2 * PAGE, guest.page(2, 1), 0);
            for (Future<long[]> reader : readers) {
                get(reader);
            }
            FaultReport report = memory.report();
            assertThat(report.blocktimeMillis()).isBetween(5L, report.maxMicros() / 1000 + 1);
            assertThat(report.threadBlocktimeMillis().values()).allMatch(millis -> millis >= 5);
        }
    }
}
