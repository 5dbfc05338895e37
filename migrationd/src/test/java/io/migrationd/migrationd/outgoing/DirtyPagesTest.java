package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.returnpath.ReceivedPages;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Dirty pages")
class DirtyPagesTest {
    private static final int HUGE = 512;

    private MemoryGuest guest = new MemoryGuest("g");
    private DirtyPages pages = new DirtyPages(guest);
    private final PageRun run = new PageRun();

    @BeforeEach
    void open() throws IOException {
        guest = new MemoryGuest("g").with("huge", 2 * HUGE).with("m0", 100);
        pages = new DirtyPages(new HugePageGuest(guest));
    }

    @AfterEach
    void close() {
        guest.close();
    }

    private String claimed() {
        return "%s %d-%d%s".formatted(run.block().ram.name(), run.from(), run.to(), run.isNear() ? " near" : "");
    }

    private List<String> claimAll(int most) {
        List<String> runs = new ArrayList<>();
        while (pages.claimNextHostPages(most, run)) {
            runs.add(claimed());
        }
        return runs;
    }

    private SourceBlock block(String name) {
        return pages.block(name).orElseThrow();
    }

    @Test
    void areClaimedInRunsAndOnlyOnce() {
        pages.setAll();
        assertThat(pages.isFirstPassDone()).isFalse();

        assertThat(pages.claimNext(1000, run)).isTrue();
        assertThat(claimed()).isEqualTo("huge 0-1000");
        assertThat(pages.claimNext(1000, run)).isTrue();
        assertThat(claimed()).isEqualTo("huge 1000-1024");
        assertThat(pages.claimNext(1000, run)).isTrue();
        assertThat(claimed()).isEqualTo("m0 0-100");
        assertThat(pages.claimNext(1000, run)).isFalse();
        assertThat(pages.isFirstPassDone()).isTrue();
        assertThat(pages.pageCount()).isZero();
    }

    @Test
    void wholeHostPagesAreClaimedWhole() {
        pages.setAll();

        assertThat(claimAll(60)).containsExactly("huge 0-512", "huge 512-1024", "m0 0-60", "m0 60-100");
    }

    @Test
    void aRequestedPageMovesTheScanBehindIt() {
        pages.setAll();
        assertThat(pages.claimRequested(block("m0"), 50, run)).isTrue();
        assertThat(claimed()).isEqualTo("m0 50-51");
        assertThat(pages.claimRequested(block("m0"), 50, run)).as("again").isFalse();

        assertThat(claimAll(10))
                .containsExactly(
                        "m0 51-61 near",
                        "m0 61-66 near",
                        "m0 66-76",
                        "m0 76-86",
                        "m0 86-96",
                        "m0 96-100",
                        "huge 0-512",
                        "huge 512-1024",
                        "m0 0-10",
                        "m0 10-20",
                        "m0 20-30",
                        "m0 30-40",
                        "m0 40-50");
    }

    @Test
    void theScanGoesOnBehindAPageThatWasAskedFor() {
        pages.setAll();
        pages.claimRequested(block("m0"), 2, run);
        pages.claimNextHostPages(3, run);
        assertThat(claimed()).isEqualTo("m0 3-6 near");
        pages.claimNextHostPages(100, run);
        assertThat(claimed()).isEqualTo("m0 6-18 near");
        pages.claimNextHostPages(10, run);
        assertThat(claimed()).isEqualTo("m0 18-28");
        pages.claimRequested(block("huge"), 0, run);
        pages.claimNextHostPages(1, run);
        assertThat(claimed()).as("megabytes are not near").isEqualTo("huge 512-1024");
    }

    @Test
    void aHostPageIsDirtyAsAWhole() {
        pages.reload(block("huge"), ReceivedPages.ofWords(allBut(2 * HUGE, 700)));
        pages.reload(block("m0"), ReceivedPages.ofWords(allBut(100, 3, 64, 99)));
        assertThat(pages.pageCount()).isEqualTo(4);

        pages.coarsen();
        assertThat(claimAll(1000)).containsExactly("huge 512-1024", "m0 3-4", "m0 64-65", "m0 99-100");
    }

    private static long[] allBut(int count, int... missing) {
        long[] words = new long[(count + 63) / 64];
        for (int page = 0; page < count; page++) {
            words[page / 64] |= 1L << page;
        }
        for (int page : missing) {
            words[page / 64] &= ~(1L << page);
        }
        return words;
    }

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4})
    void afterABitmapThatIsLeftWhichWasNotReceived(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        for (int round = 0; round < 200; round++) {
            long[] words = {pattern(random), pattern(random)};
            // What is behind page 99 is padding, whatever a peer writes there.
            pages.reload(block("m0"), ReceivedPages.ofWords(words));
            List<Long> left = new ArrayList<>();
            for (long at = 0; pages.find(block("m0"), at, run); at = run.to()) {
                for (long page = run.from(); page < run.to(); page++) {
                    left.add(page);
                }
            }
            List<Long> expected = new ArrayList<>();
            for (long page = 0; page < 100; page++) {
                if ((words[(int) (page / 64)] >>> page & 1) == 0) {
                    expected.add(page);
                }
            }
            assertThat(left).isEqualTo(expected);
        }
    }

    private static long pattern(SplittableRandom random) {
        return switch (random.nextInt(4)) {
            case 0 -> -1L;
            case 1 -> 0L;
            case 2 -> -1L << random.nextInt(64);
            default -> random.nextLong();
        };
    }
}
