package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.HexFormat;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Footer scan")
class OpaqueSectionReaderTest {
    private static final int ID = 5;

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replaceAll("\\s", ""));
    }

    private static int bodyLength(String hex) throws IOException {
        StreamReader in = StreamReader.of(bytes(hex));
        byte[] body = new OpaqueSectionReader().readBody(in, ID, id -> id == ID || id == 9);
        assertThat(in.readU8("the footer is left")).isEqualTo(0x7E);
        return body.length;
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        end of input                  | 7E00000005
        end of the loop, then input's | 7E00000005 00
        description                   | 7E00000005 00 06 00000002 7B 7D
        new iterable section          | 7E00000005 01 00000007 03 72616D
        new device section            | 7E00000005 04 00000007 03 72616D
        part of a known section       | 7E00000005 02 00000009
        end of a known section        | 7E00000005 03 00000009
        PING                          | 7E00000005 08 0002 0004
        POSTCOPY_ADVISE without sizes | 7E00000005 08 0003 0000
        POSTCOPY_ADVISE with sizes    | 7E00000005 08 0003 0010
        POSTCOPY_RUN                  | 7E00000005 08 0005 0000
        POSTCOPY_RAM_DISCARD          | 7E00000005 08 0006 0014
        RECV_BITMAP                   | 7E00000005 08 000A 0007
        SWITCHOVER_START              | 7E00000005 08 000B 0000
        """)
    void stopsAtAFooterBefore(String what, String tail) throws IOException {
        assertThat(bodyLength("AABBCC" + tail)).as(what).isEqualTo(3);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        other id                       | 7E00000006 00
        unknown element                | 7E00000005 7F
        subsection                     | 7E00000005 05 03 612F62
        configuration                  | 7E00000005 07
        footer                         | 7E00000005 7E00000005
        unprintable name               | 7E00000005 04 00000007 03 727F6D
        empty name                     | 7E00000005 01 00000007 00 726100
        unknown section's part         | 7E00000005 02 00000008
        unknown section's end          | 7E00000005 03 00000008
        command 0                      | 7E00000005 08 0000 0000
        command 12                     | 7E00000005 08 000C 0000
        PING of 8 bytes                | 7E00000005 08 0002 0008
        POSTCOPY_ADVISE of 8 bytes     | 7E00000005 08 0003 0008
        POSTCOPY_LISTEN with payload   | 7E00000005 08 0004 0001
        discard without a range        | 7E00000005 08 0006 0013
        bitmap request without a name  | 7E00000005 08 000A 0001
        end, but no description        | 7E00000005 00 07
        description too short          | 7E00000005 00 06 00000001 7B
        description too long           | 7E00000005 00 06 7F000000 7B
        description is no object       | 7E00000005 00 06 00000100 5B
        """)
    void doesNotStopAtAFooterBefore(String what, String inBody) throws IOException {
        assertThat(bodyLength("AABBCC" + inBody + "7E00000005 04 00000007 03 72616D"))
                .as(what)
                .isEqualTo(3 + bytes(inBody).length);
    }

    @Test
    void emptyBody() throws IOException {
        assertThat(bodyLength("7E00000005 04 00000007 03 72616D")).isZero();
    }

    @Test
    void bodyMayHoldManyMarkers() throws IOException {
        assertThat(bodyLength("7E".repeat(200_000) + "7E00000005 00")).isEqualTo(200_000);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        end with a description | true  | 7E00000005 00 06 00000002 7B
        end without one        | false | 7E00000005 00
        part                   | true  | 7E00000005 02 00000009
        command                | true  | 7E00000005 08 0004 0000
        device section         | true  | 7E00000005 04 00000007 03 72616D
        """)
    void doesNotWaitForMoreThanTheSourceSends(String before, boolean expectDescription, String tail)
            throws IOException {
        StreamReader in = new StreamReader(Captures.thenSilent(bytes("AABBCC" + tail)));
        OpaqueSectionReader reader = new OpaqueSectionReader(100, 100, expectDescription);

        assertThat(reader.readBody(in, ID, id -> id == 9)).as(before).hasSize(3);
    }

    @Test
    void withoutDescriptionMoreInputSpeaksAgainstTheEnd() throws IOException {
        StreamReader in = StreamReader.of(bytes("AA 7E00000005 00 00 BB 7E00000005 00"));

        assertThat(new OpaqueSectionReader(100, 100, false).readBody(in, ID, id -> false))
                .hasSize(9);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        no footer       | 100 | 100 | AABBCC              | section.footer at offset 1000: expected the footer of section 5, which began at offset 1000, got end of input
        cut footer      | 100 | 100 | AABBCC 7E000000     | section.footer at offset 1003: expected the footer of section 5, which began at offset 1000, got end of input
        body too long   | 2   | 100 | AABBCC 7E00000005   | section.body at offset 1000: expected at most 2 bytes, got no footer after that many bytes
        bodies too long | 100 | 2   | AABBCC 7E00000005   | section.body at offset 1000: expected at most 2 bytes in all device sections, got 3
        """)
    void rejects(String why, int bodyLimit, long totalLimit, String hex, String message) {
        StreamReader in = new StreamReader(Captures.chunks(bytes(hex), 100), 1000);

        assertThatThrownBy(() -> new OpaqueSectionReader(bodyLimit, totalLimit, true).readBody(in, ID, id -> false))
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }
}
