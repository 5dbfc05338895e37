package io.migrationd.migrationd.relay.tap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Random;
import java.util.function.Supplier;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Taps and bytes that nobody should have sent")
class TapRobustnessTest {
    private static final List<Supplier<PushParser>> TAPS =
            List.of(MainTap::new, ReturnTap::new, () -> new PreemptTap(4096), () -> new MultifdTap(4096));

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    @Timeout(60)
    void garbageIsCounted(long seed) {
        Random random = new Random(seed);
        for (Supplier<PushParser> make : TAPS) {
            for (int round = 0; round < 300; round++) {
                byte[] bytes = new byte[1 + random.nextInt(3000)];
                random.nextBytes(bytes);
                if (round % 3 == 0) {
                    // Something that looks like a beginning.
                    ByteBuffer.wrap(bytes, 0, Math.min(8, bytes.length)).put(head(round), 0, Math.min(8, bytes.length));
                }
                check(Captures.feed(make.get(), bytes, random, 1 + random.nextInt(500)), bytes.length);
            }
        }
    }

    private static byte[] head(int round) {
        return switch (round % 4) {
            case 0 -> new byte[] {0x51, 0x45, 0x56, 0x4D, 0, 0, 0, 3};
            case 1 -> new byte[] {8, 0, 10, 0, 2, 1, 'a', 2};
            case 2 -> new byte[] {0x11, 0x22, 0x33, 0x44, 0, 0, 0, 1};
            default -> new byte[] {0, 3, 0, 14, 0, 0, 0, 0};
        };
    }

    private static void check(PushParser tap, long length) {
        TapStatus status = tap.status();
        assertEquals(length, status.bytes());
        assertTrue(status.unparsedBytes() >= 0 && status.unparsedBytes() <= length, status.toString());
        assertEquals(tap.isLost(), status.reason().isPresent());
        assertTrue(
                status.reason()
                        .map(reason -> !reason.startsWith("a fault of the parser"))
                        .orElse(true),
                status.toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "postcopy-10.0.main.fwd.gz",
                "dirty-bitmap-7.2.bin.gz",
                "virtio-mem-10.0.bin.gz",
                "recover-10.0.second.main.fwd.gz",
                "xbzrle-10.0.bin.gz"
            })
    @Timeout(120)
    void flippedBitsNeverThrow(String name) {
        byte[] bytes = Captures.read(name);
        Random random = new Random(name.hashCode());
        for (int round = 0; round < 150; round++) {
            byte[] broken = bytes.clone();
            // Half of them where headers are dense: the ends of the stream.
            int near = Math.min(broken.length, 20_000);
            int at = switch (round % 4) {
                case 0 -> random.nextInt(near);
                case 1 -> broken.length - 1 - random.nextInt(near);
                default -> random.nextInt(broken.length);
            };
            broken[at] ^= (byte) (1 << random.nextInt(8));
            MainTap whole = Captures.feed(new MainTap(), broken, random, broken.length);
            check(whole, broken.length);
            MainTap cut = Captures.feed(new MainTap(), broken, random, 30_000);
            assertEquals(TapFixtureTest.describe(whole), TapFixtureTest.describe(cut), "bit at " + at);
        }
    }

    @Test
    void headersOfPagesFlippedOneByOne() {
        byte[] bytes = Captures.read("preempt-10.0.preempt.fwd.gz");
        for (int bit = 0; bit < 20 * 8; bit++) {
            byte[] broken = bytes.clone();
            broken[bit / 8] ^= (byte) (1 << (bit % 8));
            check(Captures.feed(new PreemptTap(4096), broken, new Random(bit), 4096), broken.length);
        }
    }

    @Test
    @Timeout(60)
    void anEndlessDeviceHasAnEnd() {
        StreamBuilder stream = new StreamBuilder().header().ramStart(4).part().endRam();
        stream.out.writeU8(4).writeInt(1).writeName("huge").writeInt(0).writeInt(1);
        MainTap tap = new MainTap();
        tap.accept(ByteBuffer.wrap(stream.bytes()));
        byte[] piece = new byte[1 << 20];
        for (int i = 0; i < 70; i++) {
            tap.accept(ByteBuffer.wrap(piece));
        }
        assertTrue(
                tap.status().reason().orElseThrow().contains("section.body"),
                tap.status().toString());
        assertTrue(tap.status().unparsedBytes() > 4 << 20);
    }
}
