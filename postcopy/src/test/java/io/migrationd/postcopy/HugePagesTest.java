package io.migrationd.postcopy;

import static io.migrationd.postcopy.PagedGuest.NAME;
import static io.migrationd.postcopy.PagedGuest.get;
import static io.migrationd.postcopy.PagedGuest.isPage;
import static io.migrationd.postcopy.PagedGuest.word;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assumptions.abort;

import io.migrationd.postcopy.PagedGuest.Asked;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.UffdDirtyLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Future;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Guest memory of huge pages")
@Timeout(60)
class HugePagesTest {
    private static final int HUGE = 2 << 20;
    private static final int SMALL_PER_HUGE = HUGE / PagedGuest.PAGE;
    private static final Path POOL = Path.of("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    private static final int NEEDED = 8;
    private static int reserved;

    @BeforeAll
    static void reserve() throws IOException {
        try {
            int before = pool();
            Files.writeString(POOL, Integer.toString(before + NEEDED));
            reserved = pool() - before;
        } catch (IOException e) {
            abort("this host lets us reserve no huge pages: " + e.getMessage());
        }
    }

    @AfterAll
    static void giveBack() throws IOException {
        if (reserved > 0) {
            Files.writeString(POOL, Integer.toString(pool() - reserved));
        }
    }

    private static int pool() throws IOException {
        return Integer.parseInt(Files.readString(POOL).strip());
    }

    @Test
    void hugePageIsAskedForAndPlacedAsOne() throws Exception {
        try (PagedGuest guest = PagedGuest.ofHugePages(3);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            Future<?> written = guest.write(1, 5 * 4096 + 8, 42);
            assertThat(guest.nextAsked()).isEqualTo(new Asked(NAME, HUGE, HUGE));
            assertThatIllegalArgumentException().isThrownBy(() -> memory.placeZero(guest.block, HUGE + 4096));
            memory.place(guest.block, HUGE, guest.page(1, 1), 0);
            get(written);
            assertThat(guest.wordInFile(1, 5 * 4096 + 8)).isEqualTo(42);
            assertThat(guest.wordInFile(1, HUGE - 8)).isEqualTo(word(1, 1, HUGE - 8));
            assertThat(guest.block.received().cardinality()).isEqualTo(SMALL_PER_HUGE);
            assertThat(guest.asked).isEmpty();
        }
    }

    @Test
    void zeroesAndHolesAreHugePagesToo() throws Exception {
        try (PagedGuest guest = PagedGuest.ofHugePages(3);
                UffdIncomingMemory memory = guest.memory()) {
            guest.block.received().set(0, SMALL_PER_HUGE);
            memory.start(guest);
            assertThat(get(guest.read(0))).containsOnly(0);
            Future<long[]> seen = guest.read(2);
            assertThat(guest.nextAsked().start()).isEqualTo(2L * HUGE);
            memory.placeZero(guest.block, 2L * HUGE);
            assertThat(get(seen)).containsOnly(0);
        }
    }

    @Test
    void pageThatIsReceivedInPartIsMissing() throws Exception {
        try (PagedGuest guest = PagedGuest.ofHugePages(2);
                UffdIncomingMemory memory = guest.memory()) {
            guest.block.received().set(0, SMALL_PER_HUGE - 1);
            memory.start(guest);
            Future<long[]> seen = guest.read(0);
            assertThat(guest.nextAsked()).isEqualTo(new Asked(NAME, 0, HUGE));
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            assertThat(isPage(get(seen), 0, 1)).isTrue();
        }
    }

    @Test
    void afterADeathEveryPageComesAgainAndNoneIsOverwritten() throws Exception {
        try (PagedGuest guest = PagedGuest.ofHugePages(2)) {
            try (UffdIncomingMemory predecessor = guest.memory()) {
                predecessor.start(guest);
                predecessor.place(guest.block, 0, guest.page(0, 1), 0);
                get(guest.write(0, 0, 42));
            }
            IncomingBlock reopened = guest.anotherBlock();
            PresentPages.mark(reopened);
            assertThat(reopened.received().cardinality()).isZero();
            try (UffdIncomingMemory memory = UffdIncomingMemory.of(
                    "8", List.of(reopened), List.of(guest.mapping.range(NAME)), guest.userfaultfd)) {
                memory.start(guest);
                memory.place(reopened, 0, guest.page(0, 1), 0);
                memory.place(reopened, HUGE, guest.page(1, 1), 0);
                assertThat(guest.wordInFile(0, 0)).isEqualTo(42);
                memory.finish();
            }
        }
    }

    @Test
    void writesAreTrackedAfterTheFinish() throws Exception {
        try (PagedGuest guest = PagedGuest.ofHugePages(2);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            memory.place(guest.block, 0, guest.page(0, 1), 0);
            memory.place(guest.block, HUGE, guest.page(1, 1), 0);
            memory.finish();
            PageBitmap dirty = new PageBitmap(2 * SMALL_PER_HUGE);
            try (UffdDirtyLog log = UffdDirtyLog.open(
                    ProcessHandle.current().pid(), List.of(guest.mapping.range(NAME)), PagedGuest.PAGE)) {
                log.collect(guest.ram, dirty);
                dirty.clear(0, dirty.pageCount());
                assertThat(log.collect(guest.ram, dirty)).isZero();
                get(guest.write(1, 0, 1));
                assertThat(log.collect(guest.ram, dirty)).isEqualTo(SMALL_PER_HUGE);
            }
        }
    }
}
