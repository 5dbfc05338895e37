package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
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
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Return-path codec")
class ReturnPathCodecTest {
    /** Awaits the bitmap of block "b", 16 bytes long. */
    private static final BitmapSizes BITMAPS = block -> block.equals("b") ? OptionalLong.of(16) : OptionalLong.empty();

    static Stream<Arguments> messages() {
        return Stream.of(
                Arguments.of("0001 0004 00000000", new Shut(0)),
                Arguments.of("0001 0004 00000001", new Shut(1)),
                Arguments.of("0002 0004 00000042", new Pong(0x42)),
                Arguments.of("0002 0004 ffffffff", new Pong(-1)),
                Arguments.of(
                        "0003 0013 0000000000278000 00001000 06 70632e72616d",
                        new RequestPagesOf("pc.ram", 0x278000, 0x1000)),
                Arguments.of("0003 000f 0000000000200000 00200000 02 6d30", new RequestPagesOf("m0", 2 << 20, 2 << 20)),
                Arguments.of("0003 000e 0000000000000000 00000001 01 ff", new RequestPagesOf("\u00ff", 0, 1)),
                Arguments.of(
                        "0003 010c 0000000000000000 00001000 ff" + "41".repeat(255),
                        new RequestPagesOf("A".repeat(255), 0, 4096)),
                Arguments.of("0004 000c 7ffffffffffff000 40000000", new RequestPages(0x7ffffffffffff000L, 1 << 30)),
                Arguments.of(
                        "0005 0002 01 62 0000000000000010 0100000000000080 fe00000000000000 0123456789abcdef",
                        new ReceivedBitmap("b", ReceivedPages.ofWords(0x8000000000000001L, 0xfe))),
                Arguments.of("0006 0004 00000001", new ResumeAck(1)),
                Arguments.of("0006 0004 00000000", new ResumeAck(0)),
                Arguments.of("0007 0000", new SwitchoverAck()));
    }

    @ParameterizedTest(name = "{0} is {1}")
    @MethodSource("messages")
    void decodes(String hex, ReturnPathMessage message) throws IOException {
        StreamReader in = StreamReader.of(bytes(hex));

        assertThat(ReturnPathCodec.decode(in, BITMAPS)).isEqualTo(message);
        assertThat(in.atEnd()).isTrue();
    }

    @ParameterizedTest(name = "{1} is {0}")
    @MethodSource("messages")
    void encodes(String hex, ReturnPathMessage message) {
        assertThat(ReturnPathCodec.encode(message)).isEqualTo(bytes(hex));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        type 0            | 0000 0004 00000000 | rp.type at offset 100: expected 1 to 7, got 0
        type 8            | 0008 0000          | rp.type at offset 100: expected 1 to 7, got 8
        type 0xffff       | ffff ffff          | rp.type at offset 100: expected 1 to 7, got 65535
        no type           | 00                 | rp.type at offset 100: expected 2 bytes, got end of input after 1 bytes
        no length         | 0001 00            | rp.length at offset 102: expected 2 bytes, got end of input after 1 bytes
        SHUT of 3         | 0001 0003 000000   | rp.length at offset 102: expected 4 bytes, got 3 bytes
        SHUT of 5         | 0001 0005 00000000 | rp.length at offset 102: expected 4 bytes, got 5 bytes
        SHUT cut          | 0001 0004 000000   | rp.shut.status at offset 104: expected 4 bytes, got end of input after 3 bytes
        PONG of 0         | 0002 0000          | rp.length at offset 102: expected 4 bytes, got 0 bytes
        PONG of 8         | 0002 0008          | rp.length at offset 102: expected 4 bytes, got 8 bytes
        PONG cut          | 0002 0004 0000     | rp.pong.value at offset 104: expected 4 bytes, got end of input after 2 bytes
        above 512         | 0001 0201          | rp.length at offset 102: expected at most 512 bytes, got 513 bytes
        0xffff, by name   | 0003 ffff          | rp.length at offset 102: expected at most 512 bytes, got 65535 bytes
        512, by name      | 0003 0200          | rp.length at offset 102: expected 14 to 268 bytes, got 512 bytes
        ID without name   | 0003 000c 0000000000000000 00001000         | rp.length at offset 102: expected 14 to 268 bytes, got 12 bytes
        ID, empty name    | 0003 000e 0000000000000000 00001000 00 61   | rp.request.block at offset 116: expected a name of 1 to 255 bytes, got an empty one
        ID, n too large   | 0003 000e 0000000000000000 00001000 02 6161 | rp.length at offset 102: expected 15 bytes, got 14 bytes
        ID, n too small   | 0003 000f 0000000000000000 00001000 01 6161 | rp.length at offset 102: expected 14 bytes, got 15 bytes
        ID, name cut      | 0003 000f 0000000000000000 00001000 02 61   | rp.request.block at offset 117: expected 2 bytes, got end of input after 1 bytes
        ID, start of 2^63 | 0003 000e 8000000000000000 00001000 01 61   | rp.request.start at offset 104: expected an offset below 2^63, got 0x8000000000000000
        ID, length 0      | 0003 000e 0000000000000000 00000000 01 61   | rp.request.length at offset 112: expected 1 to 2^31 - 1 bytes, got 0 bytes
        REQ of 11         | 0004 000b                           | rp.length at offset 102: expected 12 bytes, got 11 bytes
        REQ of 14         | 0004 000e                           | rp.length at offset 102: expected 12 bytes, got 14 bytes
        REQ, start        | 0004 000c ffffffffffffffff 00001000 | rp.request.start at offset 104: expected an offset below 2^63, got 0xffffffffffffffff
        REQ, length 2^31  | 0004 000c 0000000000000000 80000000 | rp.request.length at offset 112: expected 1 to 2^31 - 1 bytes, got 2147483648 bytes
        REQ cut           | 0004 000c 0000000000000000 000010   | rp.request.length at offset 112: expected 4 bytes, got end of input after 3 bytes
        bitmap of 0       | 0005 0000         | rp.length at offset 102: expected 2 to 256 bytes, got 0 bytes
        bitmap of 257     | 0005 0101         | rp.length at offset 102: expected 2 to 256 bytes, got 257 bytes
        bitmap, no name   | 0005 0002 00 00   | rp.bitmap.block at offset 104: expected a name of 1 to 255 bytes, got an empty one
        bitmap, n         | 0005 0002 02 6262 | rp.length at offset 102: expected 3 bytes, got 2 bytes
        bitmap not asked  | 0005 0002 01 63   | rp.bitmap.block at offset 104: expected a block whose bitmap was asked for, got 'c'
        bitmap, small     | 0005 0002 01 62 0000000000000008 | rp.bitmap.size at offset 106: expected 16 bytes, got 8 bytes
        bitmap, large     | 0005 0002 01 62 0000000000000018 | rp.bitmap.size at offset 106: expected 16 bytes, got 24 bytes
        bitmap, huge      | 0005 0002 01 62 ffffffffffffffff | rp.bitmap.size at offset 106: expected 16 bytes, got 18446744073709551615 bytes
        bitmap cut        | 0005 0002 01 62 0000000000000010 0000000000000000 00              | rp.bitmap.words at offset 122: expected 8 bytes, got end of input after 1 bytes
        bitmap, no end    | 0005 0002 01 62 0000000000000010 0000000000000000 0000000000000000 | rp.bitmap.end at offset 130: expected 8 bytes, got end of input after 0 bytes
        bitmap, bad end   | 0005 0002 01 62 0000000000000010 0000000000000000 0000000000000000 efcdab8967452301 | rp.bitmap.end at offset 130: expected 0x0123456789abcdef, got 0xefcdab8967452301
        RESUME_ACK of 0   | 0006 0000 | rp.length at offset 102: expected 4 bytes, got 0 bytes
        SWITCHOVER_ACK 4  | 0007 0004 | rp.length at offset 102: expected 0 bytes, got 4 bytes
        """)
    void rejects(String why, String hex, String message) {
        var in = new StreamReader(ChunkSource.of(ByteBuffer.wrap(bytes(hex))), 100);

        assertThatThrownBy(() -> ReturnPathCodec.decode(in, BITMAPS))
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void noBitmapIsReadWhenNoneIsAwaited() {
        StreamReader in = StreamReader.of(bytes("0005 0002 01 62 0000000000000010"));

        assertThatThrownBy(() -> ReturnPathCodec.decode(in, BitmapSizes.NONE_AWAITED))
                .hasMessage("rp.bitmap.block at offset 4: expected a block whose bitmap was asked for, got 'b'");
        assertThat(in.offset()).isEqualTo(6);
    }

    @ParameterizedTest(name = "a name of {0} bytes")
    @ValueSource(ints = {0, 256, 65_000})
    void refusesToEncodeSuchAName(int length) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> ReturnPathCodec.encode(new RequestPagesOf("x".repeat(length), 0, 4096)));
    }

    @ParameterizedTest(name = "{1} bytes at {0}")
    @CsvSource({"-1, 4096", "0, 0", "0, -4096"})
    void refusesToAskForSuchARange(long start, int lengthBytes) {
        assertThatIllegalArgumentException().isThrownBy(() -> new RequestPages(start, lengthBytes));
        assertThatIllegalArgumentException().isThrownBy(() -> new RequestPagesOf("b", start, lengthBytes));
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }
}
