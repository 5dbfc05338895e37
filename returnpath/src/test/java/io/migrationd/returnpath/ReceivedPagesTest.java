package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ReceivedPagesTest {
    @ParameterizedTest(name = "{0} pages take {1} bytes")
    @CsvSource({"1, 8", "32, 8", "64, 8", "65, 16", "4096, 512", "32768, 4096", "268435456, 33554432"})
    void lengthIsWholeWords(long pageCount, long bytes) {
        assertThat(ReceivedPages.lengthFor(pageCount)).isEqualTo(bytes);
    }

    @Test
    void pagesAreBitsFromTheLeastSignificantOn() {
        ReceivedPages pages = ReceivedPages.ofWords(0x8000000000000002L, 1);

        assertThat(pages.isReceived(0)).isFalse();
        assertThat(pages.isReceived(1)).isTrue();
        assertThat(pages.isReceived(63)).isTrue();
        assertThat(pages.isReceived(64)).isTrue();
        assertThat(pages.isReceived(65)).isFalse();
        assertThat(pages).hasToString("3 of at most 128 pages");
        assertThat(pages.wireBytes()).containsExactly(2, 0, 0, 0, 0, 0, 0, 0x80, 1, 0, 0, 0, 0, 0, 0, 0);
        assertThatThrownBy(() -> pages.isReceived(128)).isInstanceOf(IndexOutOfBoundsException.class);
    }

    @Test
    void doesNotChangeWithTheArrayItCameFrom() {
        long[] words = {1};
        ReceivedPages pages = ReceivedPages.ofWords(words);
        words[0] = 0;

        assertThat(pages.word(0)).isEqualTo(1);
    }

    @Test
    void hasAtLeastOneWord() {
        assertThatIllegalArgumentException().isThrownBy(ReceivedPages::ofWords);
    }
}
