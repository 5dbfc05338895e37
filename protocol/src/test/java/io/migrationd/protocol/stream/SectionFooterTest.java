package io.migrationd.protocol.stream;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Section footer")
class SectionFooterTest {
    @Test
    void isReadAndWritten() throws IOException {
        StreamReader in = StreamReader.of(bytes("7e fffffffe 00"));
        assertThat(SectionFooter.isNext(in)).isTrue();
        SectionFooter.read(in, 0xfffffffe, "ram");
        assertThat(SectionFooter.isNext(in)).isFalse();
        WireWriter out = new WireWriter();
        SectionFooter.write(0xfffffffe, out);
        assertThat(out.toByteArray()).isEqualTo(bytes("7e fffffffe")).hasSize(SectionFooter.LENGTH);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            missing         | 02 00000001 | section.footer of 'ra\\x0am' at offset 0: expected 0x7e, the end of the section, got 0x02
            another section | 7e 80000000 | section.footer of 'ra\\x0am' at offset 1: expected section id 1, got 2147483648
            cut             | 7e 0000     | section.footer of 'ra\\x0am' at offset 1: expected 4 bytes, got end of input after 2 bytes
            nothing         | ``          | section.footer of 'ra\\x0am' at offset 0: expected 1 bytes, got end of input after 0 bytes
            """)
    void isRefused(String why, String text, String message) {
        assertThatThrownBy(() -> SectionFooter.read(StreamReader.of(bytes(text)), 1, "ra\nm"), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }
}
