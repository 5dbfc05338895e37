package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("XBZRLE cache")
class XbzrleCacheTest {
    private static final int PAGE = 4096;
    private final XbzrleCache cache = new XbzrleCache(4 * PAGE, PAGE);

    @AfterEach
    void close() {
        cache.close();
    }

    private static MemorySegment filled(int value) {
        byte[] bytes = new byte[PAGE];
        Arrays.fill(bytes, (byte) value);
        return MemorySegment.ofArray(bytes);
    }

    private byte[] contents(long page) {
        return cache.pages().asSlice(cache.offset(page), PAGE).toArray(ValueLayout.JAVA_BYTE);
    }

    @Test
    void isEmptyAtFirst() {
        assertThat(cache.contains(0)).isFalse();
        assertThat(cache.contains(3)).isFalse();
    }

    @Test
    void keepsWhatWasSentLast() {
        cache.put(2, filled(0x11), 0);
        cache.put(2, filled(0x22), 0);

        assertThat(cache.contains(2)).isTrue();
        assertThat(contents(2)).containsOnly(0x22);
    }

    @Test
    void readsFromTheGivenOffset() {
        byte[] source = new byte[100 + PAGE];
        Arrays.fill(source, 100, source.length, (byte) 0x33);

        cache.put(1, MemorySegment.ofArray(source), 100);

        assertThat(contents(1)).containsOnly(0x33);
    }

    @Test
    void aPageInTheSamePlaceDrivesTheOldOneOut() {
        cache.put(1, filled(0x11), 0);
        cache.put(5, filled(0x55), 0);

        assertThat(cache.contains(1)).isFalse();
        assertThat(cache.contains(5)).isTrue();
        assertThat(contents(5)).containsOnly(0x55);
    }

    @Test
    void aPageThatWasSentAsZeroesIsZeroesHereToo() {
        cache.put(1, filled(0x11), 0);

        cache.zero(1);

        assertThat(cache.contains(1)).isTrue();
        assertThat(contents(1)).containsOnly(0);
    }

    @Test
    void zeroesOfAnotherPageLeaveItAlone() {
        cache.put(1, filled(0x11), 0);

        cache.zero(5);

        assertThat(cache.contains(1)).isTrue();
        assertThat(cache.contains(5)).isFalse();
        assertThat(contents(1)).containsOnly(0x11);
    }

    @Test
    void holdsAtLeastOnePage() {
        try (XbzrleCache small = new XbzrleCache(4096, 65536)) {
            byte[] page = new byte[65536];
            small.put(9, MemorySegment.ofArray(page), 0);

            assertThat(small.contains(9)).isTrue();
        }
    }
}
