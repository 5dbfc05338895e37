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

@DisplayName("Stream header")
class StreamHeaderTest {
    @Test
    void isReadAndWritten() throws IOException {
        StreamReader in = StreamReader.of(bytes("\"QEVM\" 00000003 07"));
        StreamHeader.read(in);
        assertThat(in.offset()).isEqualTo(8);
        WireWriter out = new WireWriter();
        StreamHeader.write(out);
        assertThat(out.toByteArray()).isEqualTo(bytes("\"QEVM\" 00000003"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            another file     | 7f454c46 00000003 | header.magic at offset 0: expected 0x5145564d ("QEVM", a migration stream), got 0x7f454c46
            obsolete version | 5145564d 00000002 | header.version at offset 4: expected version 3, got version 2, a format that is obsolete and not read any more
            newer version    | 5145564d 00000004 | header.version at offset 4: expected version 3, got version 4, which is not supported
            highest version  | 5145564d ffffffff | header.version at offset 4: expected version 3, got version 4294967295, which is not supported
            nothing          | ''                | header.magic at offset 0: expected 4 bytes, got end of input after 0 bytes
            cut              | 5145564d 000000   | header.version at offset 4: expected 4 bytes, got end of input after 3 bytes
            """)
    void isRefused(String why, String hex, String message) {
        assertThatThrownBy(() -> StreamHeader.read(StreamReader.of(bytes(hex))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }
}
