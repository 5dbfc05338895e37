package io.migrationd.protocol.stream;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.stream.StreamElement.CommandElement;
import io.migrationd.protocol.stream.StreamElement.End;
import io.migrationd.protocol.stream.StreamElement.EndOfStream;
import io.migrationd.protocol.stream.StreamElement.Full;
import io.migrationd.protocol.stream.StreamElement.Part;
import io.migrationd.protocol.stream.StreamElement.Start;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Stream element codec")
class StreamElementCodecTest {
    static Stream<Arguments> elements() {
        return Stream.of(
                Arguments.of("00", new EndOfStream(0)),
                Arguments.of("01 00000002 03 \"ram\" 00000000 00000004", new Start(0, 2, "ram", 0, 4)),
                Arguments.of("02 00000002", new Part(0, 2)),
                Arguments.of("03 ffffffff", new End(0, -1)),
                Arguments.of("04 00000000 05 \"i8259\" 00000001 00000001", new Full(0, 0, "i8259", 1, 1)),
                Arguments.of("08 0002 0004 00000042", new CommandElement(0, new Command.Ping(0x42))));
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("elements")
    void readsAndWrites(String text, StreamElement element) throws IOException {
        StreamReader in = StreamReader.of(bytes(text));
        assertThat(StreamElementCodec.read(in)).isEqualTo(element);
        assertThat(in.atEnd()).isTrue();
        WireWriter out = new WireWriter();
        StreamElementCodec.write(element, out);
        assertThat(out.toByteArray()).isEqualTo(bytes(text));
        assertThat(StreamElementCodec.isElement(bytes(text)[0])).isTrue();
    }

    @ParameterizedTest(name = "{1}")
    @MethodSource("elements")
    void refusesWhereverItIsCut(String text, StreamElement element) {
        byte[] all = bytes(text);
        for (int length = 0; length < all.length; length++) {
            byte[] cut = Arrays.copyOf(all, length);
            assertThatThrownBy(() -> StreamElementCodec.read(StreamReader.of(cut)), "%s cut to %d", element, length)
                    .isInstanceOf(ProtocolException.class)
                    .hasMessageContaining("end of input");
        }
    }

    @Test
    void namesOneElementByEachOfItsMethods() {
        WireWriter out = new WireWriter();
        StreamElementCodec.writeStart(1, "ram", 0, 4, out);
        StreamElementCodec.writePart(1, out);
        StreamElementCodec.writeEnd(1, out);
        StreamElementCodec.writeFull(2, "timer", 0, 2, out);
        StreamElementCodec.writeCommand(new Command.PostcopyRun(), out);
        StreamElementCodec.writeEndOfStream(out);
        assertThat(out.toByteArray())
                .isEqualTo(bytes("01 00000001 03 \"ram\" 00000000 00000004  02 00000001  03 00000001"
                        + " 04 00000002 05 \"timer\" 00000000 00000002  08 0005 0000  00"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            subsection    | 05          | element.type at offset 0: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x05 (SUBSECTION, legal inside device state only)
            description   | 06          | element.type at offset 0: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x06 (VMDESCRIPTION, legal after EOF only)
            configuration | 07          | element.type at offset 0: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x07 (CONFIGURATION, legal after the header only)
            footer        | 7e          | element.type at offset 0: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x7e (SECTION_FOOTER, legal after a section only)
            anything      | ff          | element.type at offset 0: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0xff
            empty idstr   | 01 00000001 00 00000000 00000004 | section.idstr at offset 5: expected a name of 1 to 255 bytes, got an empty one
            cut idstr     | 04 00000001 05 "ti" | section.idstr at offset 6: expected 5 bytes, got end of input after 2 bytes
            """)
    void refuses(String why, String text, String message) {
        assertThatThrownBy(() -> StreamElementCodec.read(StreamReader.of(bytes(text))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }
}
