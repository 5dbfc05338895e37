package io.migrationd.protocol.stream;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.stream.Command.EnableColo;
import io.migrationd.protocol.stream.Command.OpenReturnPath;
import io.migrationd.protocol.stream.Command.Packaged;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.Command.Ping;
import io.migrationd.protocol.stream.Command.PostcopyAdvise;
import io.migrationd.protocol.stream.Command.PostcopyListen;
import io.migrationd.protocol.stream.Command.PostcopyRamDiscard;
import io.migrationd.protocol.stream.Command.PostcopyResume;
import io.migrationd.protocol.stream.Command.PostcopyRun;
import io.migrationd.protocol.stream.Command.Range;
import io.migrationd.protocol.stream.Command.RecvBitmap;
import io.migrationd.protocol.stream.Command.SwitchoverStart;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Command codec")
class CommandCodecTest {
    static Stream<Arguments> commands() {
        return Stream.of(
                Arguments.of("0001 0000", new OpenReturnPath()),
                Arguments.of("0002 0004 ffffffff", new Ping(-1)),
                Arguments.of("0003 0000", new PostcopyAdvise(Optional.empty())),
                Arguments.of(
                        "0003 0010 0000000000201000 0000000000001000",
                        new PostcopyAdvise(Optional.of(new PageSizes(0x201000, 0x1000)))),
                Arguments.of("0004 0000", new PostcopyListen()),
                Arguments.of("0005 0000", new PostcopyRun()),
                Arguments.of(
                        "0006 0025 00 02 \"m0\" 00 0000000000001000 0000000000002000"
                                + " 0000000000010000 0000000000001000",
                        new PostcopyRamDiscard("m0", List.of(new Range(0x1000, 0x2000), new Range(0x10000, 0x1000)))),
                Arguments.of("0007 0004 80000000", new Packaged(0x80000000L)),
                Arguments.of("0008 0000", new EnableColo()),
                Arguments.of("0009 0000", new PostcopyResume()),
                Arguments.of("000a 0007 06 \"pc.ram\"", new RecvBitmap("pc.ram")),
                Arguments.of("000b 0000", new SwitchoverStart()));
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("commands")
    void decodesAndEncodes(String text, Command command) throws IOException {
        StreamReader in = StreamReader.of(bytes(text));
        assertThat(CommandCodec.decode(in)).isEqualTo(command);
        assertThat(in.atEnd()).isTrue();
        assertThat(encoded(command)).isEqualTo(bytes(text));
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("commands")
    void refusesWhereverItIsCut(String text, Command command) {
        byte[] all = bytes(text);
        for (int length = 0; length < all.length; length++) {
            byte[] cut = Arrays.copyOf(all, length);
            assertThatThrownBy(() -> CommandCodec.decode(StreamReader.of(cut)), "%s cut to %d", command, length)
                    .isInstanceOf(ProtocolException.class)
                    .hasMessageContaining("end of input");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            number 0               | 0000 0000                                    | command.number at offset 0: expected 1 to 11, got 0
            number above the last  | 000c 0000                                    | command.number at offset 0: expected 1 to 11, got 12
            return path length     | 0001 0001 00                                 | command.open-return-path.length at offset 2: expected 0 bytes, got 1 bytes
            PING length            | 0002 0002 0000                               | command.ping.length at offset 2: expected 4 bytes, got 2 bytes
            ADVISE length          | 0003 0008 0000000000001000                   | command.postcopy-advise.length at offset 2: expected 0 or 16 bytes, got 8 bytes
            LISTEN length          | 0004 0004 00000000                           | command.postcopy-listen.length at offset 2: expected 0 bytes, got 4 bytes
            RUN length             | 0005 ffff                                    | command.postcopy-run.length at offset 2: expected 0 bytes, got 65535 bytes
            DISCARD length         | 0006 0013 00 01 "m" 00 00*15                 | command.postcopy-ram-discard.length at offset 2: expected at least 20 bytes, got 19 bytes
            DISCARD layout         | 0006 0014 01 01 "m" 00 00*16                 | command.postcopy-ram-discard.layout at offset 4: expected 0, got 1
            DISCARD of no block    | 0006 0014 00 00 00 00*17                     | command.postcopy-ram-discard.block at offset 5: expected a name of 1 to 255 bytes, got an empty one
            DISCARD name too long  | 0006 0014 00 12 "aaaaaaaaaaaaaaaaaa"         | command.postcopy-ram-discard.length at offset 2: expected 21 bytes and one or more ranges of 16, got 20
            DISCARD of no range    | 0006 0014 00 11 "aaaaaaaaaaaaaaaaa" 00       | command.postcopy-ram-discard.length at offset 2: expected 20 bytes and one or more ranges of 16, got 20
            DISCARD of half ranges | 0006 001c 00 01 "m" 00 00*24                 | command.postcopy-ram-discard.length at offset 2: expected 4 bytes and one or more ranges of 16, got 28
            DISCARD without zero   | 0006 0014 00 01 "m" 01 00*16                 | command.postcopy-ram-discard.name-end at offset 7: expected 0, got 1
            DISCARD of nothing     | 0006 0014 00 01 "m" 00 0000000000001000 00*8 | command.postcopy-ram-discard.range at offset 8: expected a range that is not empty and ends below 2^63, got start 0x1000, length 0x0
            DISCARD below zero     | 0006 0014 00 01 "m" 00 ffffffffffffe000 0000000000001000 | command.postcopy-ram-discard.range at offset 8: expected a range that is not empty and ends below 2^63, got start 0xffffffffffffe000, length 0x1000
            DISCARD beyond 2^63    | 0006 0014 00 01 "m" 00 7fffffffffffe000 7fffffffffffe000 | command.postcopy-ram-discard.range at offset 8: expected a range that is not empty and ends below 2^63, got start 0x7fffffffffffe000, length 0x7fffffffffffe000
            PACKAGED length        | 0007 0008 00*8                               | command.packaged.length at offset 2: expected 4 bytes, got 8 bytes
            PACKAGED nothing       | 0007 0004 00000000                           | command.packaged.size at offset 4: expected 1 or more bytes, got an empty package
            COLO length            | 0008 0001 00                                 | command.enable-colo.length at offset 2: expected 0 bytes, got 1 bytes
            RESUME length          | 0009 0001 00                                 | command.postcopy-resume.length at offset 2: expected 0 bytes, got 1 bytes
            RECV_BITMAP length 0   | 000a 0000                                    | command.recv-bitmap.length at offset 2: expected at least 2 bytes, got 0 bytes
            RECV_BITMAP of nothing | 000a 0001 00                                 | command.recv-bitmap.block at offset 4: expected a name of 1 to 255 bytes, got an empty one
            RECV_BITMAP length     | 000a 0008 06 "pc.ram" 00                     | command.recv-bitmap.length at offset 2: expected 7 bytes, 1 + name, got 8 bytes
            SWITCHOVER length      | 000b 0001 00                                 | command.switchover-start.length at offset 2: expected 0 bytes, got 1 bytes
            """)
    void refuses(String why, String text, String message) {
        assertThatThrownBy(() -> CommandCodec.decode(StreamReader.of(bytes(text))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void doesNotWriteWhatCannotBeRead() {
        Range range = new Range(0, 4096);
        assertThatThrownBy(() -> encoded(new PostcopyRamDiscard("m", List.of())))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> encoded(new PostcopyRamDiscard("m", Collections.nCopies(4096, range))))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> encoded(new Packaged(1L << 32))).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> encoded(new RecvBitmap(""))).isInstanceOf(IllegalArgumentException.class);
    }

    private static byte[] encoded(Command command) {
        WireWriter out = new WireWriter();
        CommandCodec.encode(command, out);
        return out.toByteArray();
    }
}
