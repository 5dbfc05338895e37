package io.migrationd.postcopy;

import static io.migrationd.postcopy.PagedGuest.PAGE;
import static io.migrationd.postcopy.PagedGuest.get;
import static io.migrationd.postcopy.PagedGuest.isPage;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.postcopy.PagedGuest.Asked;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Two threads place pages, one those that were asked for and one all in order, as the preempt channel and the main
 * stream do; a third cuts the connection now and then. Guest threads touch pages at random and look at every byte.
 */
@DisplayName("Faults, placement and pauses at once")
@Timeout(120)
class UffdIncomingMemoryStressTest {
    private static final int PAGES = 2048;
    private static final int ZERO_EVERY = 7;
    private static final int GUEST_THREADS = 4;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void everyPageIsSeenWhole(long seed) throws Exception {
        try (PagedGuest guest = PagedGuest.of(PAGES);
                UffdIncomingMemory memory = guest.memory()) {
            memory.start(guest);
            AtomicBoolean complete = new AtomicBoolean();
            List<Future<Integer>> readers = new ArrayList<>();
            for (int i = 0; i < GUEST_THREADS; i++) {
                Random random = new Random(seed * GUEST_THREADS + i);
                readers.add(guest.run(() -> readAtRandom(guest, random, seed)));
            }
            Future<Boolean> urgent = guest.run(() -> placeWhatIsAskedFor(guest, memory, seed, complete));
            Future<Boolean> cuts = guest.run(() -> cutAndResume(memory, new Random(seed), complete));
            for (int page = 0; page < PAGES; page++) {
                place(guest, memory, page, seed);
            }
            complete.set(true);
            get(urgent);
            get(cuts);
            for (Future<Integer> reader : readers) {
                assertThat(get(reader)).as("torn or wrong pages").isZero();
            }
            assertThat(memory.isComplete()).isTrue();
            assertThat(memory.report().pending()).isZero();
            assertThat(memory.report().faults()).as("threads that had to wait").isPositive();
            memory.finish();
            for (int page = 0; page < PAGES; page++) {
                assertThat(isWhole(get(guest.read(page)), page, seed)).isTrue();
            }
        }
    }

    private static int readAtRandom(PagedGuest guest, Random random, long seed) {
        int wrong = 0;
        for (int i = 0; i < PAGES; i++) {
            int page = random.nextInt(PAGES);
            long[] words = guest.readHere(page);
            wrong += isWhole(words, page, seed) ? 0 : 1;
        }
        return wrong;
    }

    private static boolean isWhole(long[] words, int page, long seed) {
        return page % ZERO_EVERY == 0 ? Arrays.stream(words).allMatch(word -> word == 0) : isPage(words, page, seed);
    }

    private static boolean placeWhatIsAskedFor(
            PagedGuest guest, UffdIncomingMemory memory, long seed, AtomicBoolean complete) throws Exception {
        while (!complete.get()) {
            Asked asked = guest.asked.poll(1, TimeUnit.MILLISECONDS);
            if (asked != null) {
                place(guest, memory, (int) (asked.start() / PAGE), seed);
            }
        }
        return true;
    }

    private static boolean cutAndResume(UffdIncomingMemory memory, Random random, AtomicBoolean complete)
            throws IOException {
        while (!complete.get()) {
            memory.park();
            for (int i = random.nextInt(100_000); i > 0; i--) {
                Thread.onSpinWait();
            }
            memory.resume();
        }
        return true;
    }

    private static void place(PagedGuest guest, UffdIncomingMemory memory, int page, long seed) throws IOException {
        if (page % ZERO_EVERY == 0) {
            memory.placeZero(guest.block, (long) page * PAGE);
        } else {
            memory.place(guest.block, (long) page * PAGE, guest.page(page, seed), 0);
        }
    }
}
