package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class ReturnPathCodecPropertyTest {
    /** Random bitmaps have one word for each char of their block's name. */
    private static final BitmapSizes BITMAPS = block -> OptionalLong.of(8L * block.length());

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
    void chunkingDoesNotMatter(long seed) throws IOException {
        RandomGenerator random = new SplittableRandom(seed);
        List<ReturnPathMessage> messages =
                Stream.generate(() -> randomMessage(random)).limit(500).toList();
        var in = new StreamReader(ChunkSource.of(chunks(encode(messages), random)));

        List<ReturnPathMessage> decoded = new ArrayList<>();
        while (!in.atEnd()) {
            decoded.add(ReturnPathCodec.decode(in, BITMAPS));
        }

        assertThat(decoded).isEqualTo(messages);
    }

    static Stream<ReturnPathMessage> oneOfEach() {
        return Stream.of(
                new Shut(0),
                new Pong(3),
                new RequestPagesOf("pc.ram", 4096, 4096),
                new RequestPages(4096, 4096),
                new ReceivedBitmap("ab", ReceivedPages.ofWords(-1, 1)),
                new ResumeAck(1),
                new SwitchoverAck());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("oneOfEach")
    void everyCutIsAProtocolException(ReturnPathMessage message) {
        byte[] whole = ReturnPathCodec.encode(message);
        for (int length = 0; length < whole.length; length++) {
            StreamReader in = StreamReader.of(Arrays.copyOf(whole, length));

            assertThatThrownBy(() -> ReturnPathCodec.decode(in, BITMAPS))
                    .as("cut at byte %d of %d", length, whole.length)
                    .isInstanceOf(ProtocolException.class)
                    .hasMessageContaining("got end of input after");
        }
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("io.migrationd.returnpath.Fixtures#names")
    void aFlippedBitGivesMessagesOrAProtocolException(String name) throws IOException {
        byte[] bytes = Fixtures.read(name);
        int bits = Math.min(bytes.length, 600) * 8;
        for (int bit = 0; bit < bits; bit++) {
            bytes[bit / 8] ^= (byte) (1 << (bit % 8));
            decodeUntilRejected(bytes);
            bytes[bit / 8] ^= (byte) (1 << (bit % 8));
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {11, 12, 13, 14, 15})
    void noiseGivesMessagesOrAProtocolException(long seed) throws IOException {
        RandomGenerator random = new SplittableRandom(seed);
        for (int round = 0; round < 500; round++) {
            byte[] bytes = new byte[200];
            random.nextBytes(bytes);
            // A type that exists, and a length that may: else all noise ends at its first two bytes.
            bytes[0] = 0;
            bytes[1] = (byte) random.nextInt(1, 8);
            bytes[2] = 0;
            bytes[3] = (byte) random.nextInt(20);
            decodeUntilRejected(bytes);
        }
    }

    /** Anything but a message or a ProtocolException passes through and fails the test. */
    private static void decodeUntilRejected(byte[] bytes) throws IOException {
        StreamReader in = StreamReader.of(bytes);
        try {
            while (!in.atEnd()) {
                long before = in.offset();
                ReturnPathCodec.decode(in, Fixtures.BITMAPS);
                assertThat(in.offset()).isGreaterThan(before);
            }
        } catch (ProtocolException e) {
            assertThat(e.offset()).isBetween(0L, (long) bytes.length);
        }
    }

    private static byte[] encode(List<ReturnPathMessage> messages) {
        var all = new ByteArrayOutputStream();
        messages.forEach(message -> all.writeBytes(ReturnPathCodec.encode(message)));
        return all.toByteArray();
    }

    private static ByteBuffer[] chunks(byte[] bytes, RandomGenerator random) {
        List<ByteBuffer> chunks = new ArrayList<>();
        int from = 0;
        while (from < bytes.length) {
            int length = Math.min(bytes.length - from, random.nextInt(1, random.nextBoolean() ? 4 : 100));
            chunks.add(ByteBuffer.wrap(Arrays.copyOfRange(bytes, from, from + length)));
            from += length;
        }
        return chunks.toArray(ByteBuffer[]::new);
    }

    private static ReturnPathMessage randomMessage(RandomGenerator random) {
        return switch (random.nextInt(7)) {
            case 0 -> new Shut(random.nextInt());
            case 1 -> new Pong(random.nextInt());
            case 2 -> new RequestPagesOf(randomName(random), random.nextLong(Long.MAX_VALUE), randomLength(random));
            case 3 -> new RequestPages(random.nextLong(Long.MAX_VALUE), randomLength(random));
            case 4 -> {
                String block = randomName(random);
                long[] words = random.longs(block.length()).toArray();
                yield new ReceivedBitmap(block, ReceivedPages.ofWords(words));
            }
            case 5 -> new ResumeAck(random.nextInt());
            default -> new SwitchoverAck();
        };
    }

    private static int randomLength(RandomGenerator random) {
        return random.nextInt(1, Integer.MAX_VALUE);
    }

    private static String randomName(RandomGenerator random) {
        var name = new StringBuilder();
        int length = random.nextInt(1, 256);
        while (name.length() < length) {
            name.append((char) random.nextInt(256));
        }
        return name.toString();
    }
}
