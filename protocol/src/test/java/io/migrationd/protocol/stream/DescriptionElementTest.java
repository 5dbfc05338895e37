package io.migrationd.protocol.stream;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.stream.DescriptionElement.Absent;
import io.migrationd.protocol.stream.DescriptionElement.Present;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Trailing description")
class DescriptionElementTest {
    @Test
    void isReadAndWritten() throws IOException {
        StreamReader in = StreamReader.of(bytes("06 00000010 \"{\"22\"page_size\"22\": 4}\" 00"));
        assertThat(DescriptionElement.read(in, 100)).isEqualTo(new Present(0, "{\"page_size\": 4}"));
        assertThat(in.offset()).isEqualTo(21);
        WireWriter out = new WireWriter();
        DescriptionElement.write("{}", out);
        assertThat(out.toByteArray()).isEqualTo(bytes("06 00000002 \"{}\""));
    }

    @Test
    void mayBeNoJson() {
        assertThat(DescriptionElement.read(StreamReader.of(bytes("06 00000002 ff00")), 2))
                .isEqualTo(new Present(0, "\u00ff\0"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            end of input | ``                | the stream ends without a description
            another byte | 07                | 0x07 instead of a description
            above limit  | 06 00000065 "{}"  | a description of 101 bytes is above the limit of 100
            huge         | 06 ffffffff "{}"  | a description of 4294967295 bytes is above the limit of 100
            cut text     | 06 00000003 "{}"  | the description is not complete: description.text at offset 5: expected 3 bytes, got end of input after 2 bytes
            cut length   | 06 0000           | the description is not complete: description.length at offset 1: expected 4 bytes, got end of input after 2 bytes
            """)
    void isAbsentAndNothingFails(String why, String text, String reason) {
        assertThat(DescriptionElement.read(StreamReader.of(bytes(text)), 100))
                .as(why)
                .isEqualTo(new Absent(0, reason));
    }

    @Test
    void isAbsentIfTheConnectionBreaks() {
        StreamReader in = new StreamReader(() -> {
            throw new IOException("connection reset");
        });
        assertThat(DescriptionElement.read(in, 100))
                .isEqualTo(new Absent(0, "the description is not complete: connection reset"));
    }
}
