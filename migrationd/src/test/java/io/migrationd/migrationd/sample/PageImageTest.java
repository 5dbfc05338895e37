package io.migrationd.migrationd.sample;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PageImageTest {
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment page = arena.allocate(PageImage.PAGE_BYTES, 8);

    @AfterEach
    void close() {
        arena.close();
    }

    @Test
    void isRightAfterItsWrite() {
        PageImage.compose(page, 1, 7, 5, 0);

        assertThat(PageImage.problem(page, 0, 7, 5)).isEqualTo(Optional.empty());
    }

    @Test
    void anUntouchedPageIsZero() {
        assertThat(PageImage.problem(page, 0, 7, 0)).isEqualTo(Optional.empty());
        page.set(JAVA_BYTE, 4095, (byte) 1);
        assertThat(PageImage.problem(page, 0, 7, 0)).contains("page 7 was never written and is not zero");
    }

    @Test
    void aZeroPageIsNotAWrittenOne() {
        assertThat(PageImage.problem(page, 0, 7, 5)).isPresent();
    }

    @Test
    void anOlderWriteIsStale() {
        PageImage.compose(page, 1, 7, 4, 0);

        assertThat(PageImage.problem(page, 0, 7, 5)).contains("page 7 is stale: it holds write 4, expected write 5");
    }

    @Test
    void anotherPageIsNamed() {
        PageImage.compose(page, 1, 8, 5, 0);

        assertThat(PageImage.problem(page, 0, 7, 5)).contains("page 7 holds page 8");
    }

    @ParameterizedTest(name = "after {0} bytes")
    @ValueSource(ints = {24, 512, 2048, 4080, 4088})
    void twoWritesInOnePageAreTorn(int cut) {
        PageImage.compose(page, 1, 7, 5, 0);
        MemorySegment newer = arena.allocate(PageImage.PAGE_BYTES, 8);
        PageImage.compose(newer, 1, 7, 6, 0);
        MemorySegment.copy(newer, 0, page, 0, cut);

        assertThat(PageImage.problem(page, 0, 7, 6)).isPresent();
    }

    @Test
    void oneFlippedBitIsSeenWhereverItIs() {
        for (int at = 0; at < PageImage.PAGE_BYTES; at++) {
            PageImage.compose(page, 1, 7, 5, 0);
            page.set(JAVA_BYTE, at, (byte) (page.get(JAVA_BYTE, at) ^ 4));

            assertThat(PageImage.problem(page, 0, 7, 5)).as("byte %d", at).isPresent();
        }
    }
}
