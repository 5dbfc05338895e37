package io.migrationd.postcopy.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Page bitmap against java.util.BitSet")
class PageBitmapPropertyTest {
    private static final int OPERATIONS = 20_000;

    @ParameterizedTest(name = "{0} pages, seed {1}")
    @CsvSource({"1, 1", "2, 2", "63, 3", "64, 4", "65, 5", "128, 6", "1000, 7", "4096, 8", "4097, 9"})
    void behavesAsABitSet(int pages, long seed) {
        Random random = new Random(seed);
        PageBitmap bitmap = new PageBitmap(pages);
        BitSet model = new BitSet(pages);
        for (int i = 0; i < OPERATIONS; i++) {
            int page = random.nextInt(pages);
            int end = page + random.nextInt(pages - page + 1);
            switch (random.nextInt(8)) {
                case 0, 1 -> {
                    assertThat(bitmap.set(page)).isEqualTo(!model.get(page));
                    model.set(page);
                }
                case 2, 3 -> {
                    assertThat(bitmap.clear(page)).isEqualTo(model.get(page));
                    model.clear(page);
                }
                case 4 -> {
                    bitmap.set(page, end);
                    model.set(page, end);
                }
                case 5 -> {
                    bitmap.clear(page, end);
                    model.clear(page, end);
                }
                case 6 -> assertThat(bitmap.get(page)).isEqualTo(model.get(page));
                default -> {
                    int set = model.nextSetBit(page);
                    assertThat(bitmap.nextSet(page)).isEqualTo(set < 0 ? pages : set);
                    assertThat(bitmap.nextClear(page)).isEqualTo(Math.min(pages, model.nextClearBit(page)));
                }
            }
            assertThat(bitmap.cardinality()).isEqualTo(model.cardinality());
        }
    }

    @Test
    void pagesOutsideAreRefused() {
        PageBitmap bitmap = new PageBitmap(70);
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.get(70));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.set(-1));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.clear(70));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.set(0, 71));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.clear(5, 4));
        assertThatExceptionOfType(IndexOutOfBoundsException.class).isThrownBy(() -> bitmap.nextSet(-1));
        assertThat(bitmap.nextSet(70)).isEqualTo(70);
        assertThat(bitmap.nextClear(71)).isEqualTo(70);
    }

    @Test
    void sizeHasLimits() {
        assertThatIllegalArgumentException().isThrownBy(() -> new PageBitmap(0));
        assertThatIllegalArgumentException().isThrownBy(() -> new PageBitmap((1L << 36) + 1));
    }
}
