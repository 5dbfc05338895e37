package io.migrationd.protocol.ram;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.wire.ProtocolException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("XBZRLE delta, for any pages:")
class XbzrleDeltaPropertyTest {
    private static final int PAGE = 4096;
    private static final int GUARD = 512;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void applyingWhatWasEncodedGivesThePage(long seed) throws ProtocolException {
        SplittableRandom random = new SplittableRandom(seed);
        for (int round = 0; round < 500; round++) {
            byte[] before = new byte[PAGE];
            random.nextBytes(before);
            byte[] now = changed(before, random);
            byte[] delta = new byte[PAGE];
            int limit = random.nextInt(8) == 0 ? random.nextInt(PAGE) : PAGE;

            int length = XbzrleDelta.encode(
                    MemorySegment.ofArray(before),
                    0,
                    MemorySegment.ofArray(now),
                    0,
                    PAGE,
                    MemorySegment.ofArray(delta),
                    0,
                    limit);

            assertThat(length).as("round %d", round).isBetween(XbzrleDelta.OVERFLOW, limit);
            if (length == XbzrleDelta.OVERFLOW) {
                continue;
            }
            assertThat(length == 0).as("round %d", round).isEqualTo(Arrays.equals(before, now));
            XbzrleDelta.apply(ByteBuffer.wrap(delta, 0, length), 0, MemorySegment.ofArray(before), 0, PAGE);
            assertThat(before).as("round %d", round).isEqualTo(now);
        }
    }

    /** A few runs of any length, from one byte to the whole page. */
    private static byte[] changed(byte[] before, SplittableRandom random) {
        byte[] now = before.clone();
        int runs = random.nextInt(12);
        for (int i = 0; i < runs; i++) {
            int from = random.nextInt(PAGE);
            int length = 1 + random.nextInt(1 << random.nextInt(12));
            for (int at = from; at < Math.min(PAGE, from + length); at++) {
                now[at] = (byte) random.nextInt();
            }
        }
        return now;
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5})
    void anyBytesAreAppliedWithinThePageOrRefused(long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        int refused = 0;
        for (int round = 0; round < 20_000; round++) {
            byte[] delta = new byte[random.nextInt(1 << random.nextInt(8))];
            random.nextBytes(delta);
            // Small numbers reach deeper than evenly spread ones.
            for (int i = 0; i < delta.length && random.nextBoolean(); i += 1 + random.nextInt(4)) {
                delta[i] = (byte) random.nextInt(6);
            }
            byte[] memory = new byte[GUARD + PAGE + GUARD];
            try {
                XbzrleDelta.apply(ByteBuffer.wrap(delta), 0, MemorySegment.ofArray(memory), GUARD, PAGE);
            } catch (ProtocolException e) {
                refused++;
            }
            assertThat(Arrays.mismatch(memory, 0, GUARD, new byte[GUARD], 0, GUARD))
                    .as("before the page, round %d", round)
                    .isEqualTo(-1);
            assertThat(Arrays.mismatch(memory, GUARD + PAGE, memory.length, new byte[GUARD], 0, GUARD))
                    .as("behind the page, round %d", round)
                    .isEqualTo(-1);
        }
        assertThat(refused).isPositive();
    }
}
