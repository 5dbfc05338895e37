package io.migrationd.protocol.wire;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Stream reader")
class StreamReaderTest {
    private static StreamReader inChunksOf(int size, byte[] bytes) {
        int count = Math.ceilDiv(bytes.length, size);
        ByteBuffer[] chunks = new ByteBuffer[count];
        for (int i = 0; i < count; i++) {
            chunks[i] = ByteBuffer.wrap(Arrays.copyOfRange(bytes, i * size, Math.min(bytes.length, (i + 1) * size)));
        }
        return new StreamReader(ChunkSource.of(chunks), 1000);
    }

    @ParameterizedTest(name = "chunks of {0}")
    @ValueSource(ints = {1, 2, 3, 5, 8, 13, 100})
    void readsBigEndianHoweverItArrives(int chunk) throws IOException {
        StreamReader in = inChunksOf(chunk, bytes("ff fffe 80000001 80000002 8000000000000003 02 \"m0\" aabbcc 11 22"));
        assertThat(in.readU8("a")).isEqualTo(0xff);
        assertThat(in.readU16("b")).isEqualTo(0xfffe);
        assertThat(in.readInt("c")).isEqualTo(0x80000001);
        assertThat(in.readU32("d")).isEqualTo(0x80000002L);
        assertThat(in.readLong("e")).isEqualTo(0x8000000000000003L);
        assertThat(in.offset()).isEqualTo(1019);
        assertThat(in.readName("f")).isEqualTo("m0");
        assertThat(in.readBytes("g", 3, 3)).isEqualTo(bytes("aabbcc"));
        assertThat(in.peek(2)).isEqualTo(ByteBuffer.wrap(bytes("1122")));
        assertThat(in.peek(3)).isNull();
        assertThat(in.offset()).isEqualTo(1025);
        in.skip("h", 1);
        assertThat(in.slice("i", 1)).isEqualTo(ByteBuffer.wrap(bytes("22")));
        assertThat(in.atEnd()).isTrue();
        assertThat(in.offset()).isEqualTo(1027);
    }

    @Test
    void saysWhereTheInputEnds() throws IOException {
        StreamReader in = inChunksOf(2, bytes("010203"));
        in.readU8("first");
        assertThatThrownBy(() -> in.readInt("second"))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("second at offset 1001: expected 4 bytes, got end of input after 2 bytes");
        assertThat(in.readU16("it goes on")).isEqualTo(0x0203);
        assertThatThrownBy(() -> in.skip("rest", 5))
                .hasMessage("rest at offset 1003: expected 1 bytes, got end of input after 0 bytes");
    }

    @Test
    void refusesALengthBeforeItAllocates() {
        StreamReader in = StreamReader.of(bytes("00"));
        assertThatThrownBy(() -> in.readBytes("text", 0xffff_ffffL, 100))
                .hasMessage("text at offset 0: expected at most 100 bytes, got 4294967295 bytes");
        assertThatThrownBy(() -> in.readBytes("text", -1, 100)).isInstanceOf(ProtocolException.class);
        assertThatThrownBy(() -> in.readName("name"))
                .hasMessage("name at offset 0: expected a name of 1 to 255 bytes, got an empty one");
    }

    @Test
    void handsOutAPageOfOneChunkInPlace() throws IOException {
        byte[] chunk = new byte[8192];
        StreamReader in = StreamReader.of(chunk);
        ByteBuffer page = in.slice("page", 4096);
        chunk[17] = 42;
        assertThat(page.get(17)).isEqualTo((byte) 42);
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void readsTheSameBytesHoweverItIsAsked(long seed) throws IOException {
        Random random = new Random(seed);
        byte[] all = new byte[300_000];
        random.nextBytes(all);
        StreamReader in = inChunksOf(1 + random.nextInt(40_000), all);
        int at = 0;
        while (at < all.length) {
            int length = Math.min(all.length - at, 1 + random.nextInt(StreamReader.MAX_SLICE));
            byte[] expected = Arrays.copyOfRange(all, at, at + length);
            switch (random.nextInt(4)) {
                case 0 -> {
                    assertThat(in.peek(length)).isEqualTo(ByteBuffer.wrap(expected));
                    length = 0;
                }
                case 1 -> assertThat(in.slice("slice", length)).isEqualTo(ByteBuffer.wrap(expected));
                case 2 -> assertThat(in.readBytes("bytes", length, length)).isEqualTo(expected);
                default -> in.skip("skip", length);
            }
            at += length;
            assertThat(in.offset()).isEqualTo(1000 + at);
        }
        assertThat(in.atEnd()).isTrue();
    }

    @Test
    void keepsItsPlaceWhenTheSourceFails() throws IOException {
        byte[] first = bytes("0102");
        int[] calls = {0};
        StreamReader in = new StreamReader(() -> {
            if (calls[0]++ == 0) {
                return ByteBuffer.wrap(first);
            }
            throw new IOException("connection reset");
        });
        in.readU8("one");
        assertThatThrownBy(() -> in.readInt("more"))
                .isInstanceOf(IOException.class)
                .hasMessage("connection reset");
        assertThat(in.offset()).isEqualTo(1);
        assertThat(in.buffered()).isEqualTo(1);
    }

    @Test
    void peeksWholeRecords() throws IOException {
        StreamReader in = StreamReader.of(bytes("0001 0002 0003 00"));
        assertThat(in.peekRecords("record", 2, 2).remaining()).isEqualTo(4);
        assertThat(in.peekRecords("record", 2, 9).remaining()).isEqualTo(6);
        in.skipBuffered(6);
        assertThat(in.offset()).isEqualTo(6);
        assertThatThrownBy(() -> in.peekRecords("record", 2, 1)).isInstanceOf(ProtocolException.class);
    }
}
