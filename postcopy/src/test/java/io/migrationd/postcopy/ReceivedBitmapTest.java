package io.migrationd.postcopy;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Received bitmap")
class ReceivedBitmapTest {
    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void isASetOfPages(long seed) {
        Random random = new Random(seed);
        int pages = 1 + random.nextInt(300);
        ReceivedBitmap bitmap = new ReceivedBitmap(pages);
        BitSet model = new BitSet(pages);
        for (int i = 0; i < 500; i++) {
            int from = random.nextInt(pages + 1);
            int to = from + random.nextInt(pages + 1 - from);
            if (random.nextBoolean()) {
                bitmap.set(from, to);
                model.set(from, to);
            } else {
                bitmap.clear(from, to);
                model.clear(from, to);
            }
            assertThat(bitmap.cardinality()).isEqualTo(model.cardinality());
            assertThat(bitmap.isComplete()).isEqualTo(model.cardinality() == pages);
            assertThat(BitSet.valueOf(bitmap.toWords())).isEqualTo(model);
            int at = random.nextInt(pages);
            assertThat(bitmap.get(at)).isEqualTo(model.get(at));
            assertThat(bitmap.nextMissing(at)).isEqualTo(Math.min(pages, model.nextClearBit(at)));
        }
    }

    @Test
    void pageThatIsNotThereIsRefused() {
        ReceivedBitmap bitmap = new ReceivedBitmap(65);
        assertThat(bitmap.pageCount()).isEqualTo(65);
        assertThat(bitmap.nextMissing(65)).isEqualTo(65);
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.get(65));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.get(-1));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.set(64, 66));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.set(2, 1));
        assertThatIllegalArgumentException().isThrownBy(() -> new ReceivedBitmap(0));
        assertThatIllegalArgumentException().isThrownBy(() -> new ReceivedBitmap((1L << 36) + 1));
    }

    @Test
    void twoThreadsCountEveryPageOnce() throws InterruptedException {
        int pages = 100_000;
        ReceivedBitmap bitmap = new ReceivedBitmap(pages);
        Thread other = Thread.ofPlatform().name("test-other").start(() -> {
            for (int page = pages - 1; page >= 0; page--) {
                bitmap.set(page, page + 1);
            }
        });
        for (int page = 0; page < pages; page++) {
            bitmap.set(page, page + 1);
        }
        other.join();
        assertThat(bitmap.isComplete()).isTrue();
    }
}
