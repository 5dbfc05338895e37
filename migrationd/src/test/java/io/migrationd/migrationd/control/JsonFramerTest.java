package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.control.JsonFramer.Frame;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("JSON framer: 40 bytes and 3 levels at most")
class JsonFramerTest {
    private static final int MAX_BYTES = 40;
    private static final int MAX_NESTING = 3;

    /** {@code <01>} is the byte 0x01, {@code <0a>} a line feed. Garbage is shown as {@code !reason}. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        one object            | {"a": 1}                   | {"a": 1}
        nothing between       | {}{}[]"x"1 2               | {} ; {} ; [] ; "x" ; 1
        space between         | <20>{}<0d><0a><09>{}       | {} ; {}
        brackets in strings   | {"}": "]"}{}               | {"}": "]"} ; {}
        quote in a string     | {"\\"}": 1}{}              | {"\\"}": 1} ; {}
        single quotes         | {'}"': '"'}{}              | {'}"': '"'} ; {}
        bare word             | nonsense {}                | nonsense ; {}
        nested 3              | [[[]]]                     | [[[]]]
        nested 4              | [[[[]]]]<0a>{}             | !nested deeper than 3 ; {}
        wrong bracket         | [}<0a>{}                   | !unmatched '}' ; {}
        bracket too many      | }<0a>{}                    | !stray '}' ; {}
        garbage is one error  | @@ }} ,, "<0a>{}           | !stray '@' ; {}
        garbage up to 0xff    | @@ }} ,, <ff>{}            | !stray '@' ; {}
        reset while idle      | <01>{}                     | !invalid byte 0x01 ; {}
        reset by 0xff         | <ff>{}                     | !invalid byte 0xff ; {}
        reset in an object    | {"a": <01>{}               | !invalid byte 0x01 ; {}
        reset in a string     | {"a<01>{}                  | !invalid byte 0x01 in a string ; {}
        line feed in a string | {"a<0a>{}                  | !invalid byte 0x0a in a string ; {}
        zero byte             | {"a": <00>{}               | !invalid byte 0x00 ; {}
        not UTF-8             | {"a": "<fe>{}              | !invalid byte 0xfe in a string ; {}
        40 bytes              | ["345678901234567890123456789012345678"]  | ["345678901234567890123456789012345678"]
        41 bytes              | ["3456789012345678901234567890123456789"] <0a>{} | !message longer than 40 bytes ; {}
        41 bytes of a word    | 12345678901234567890123456789012345678901<0a>{} | !message longer than 40 bytes ; {}
        unfinished            | {"a": [1,                  | ``
        """)
    void cuts(String why, String input, String expected) {
        byte[] bytes = bytes(input);
        assertThat(String.join(" ; ", frames(bytes, bytes.length))).isEqualTo(expected);
        assertThat(String.join(" ; ", frames(bytes, 1))).as("byte by byte").isEqualTo(expected);
    }

    private static List<String> frames(byte[] bytes, int step) {
        JsonFramer framer = new JsonFramer(MAX_BYTES, MAX_NESTING);
        List<String> frames = new ArrayList<>();
        for (int at = 0; at < bytes.length; at += step) {
            ByteBuffer part = ByteBuffer.wrap(bytes, at, step);
            for (Frame frame = framer.next(part); frame != null; frame = framer.next(part)) {
                frames.add(
                        switch (frame) {
                            case Frame.Value(byte[] value) -> new String(value, StandardCharsets.UTF_8);
                            case Frame.Garbage(String reason) -> "!" + reason;
                        });
            }
        }
        return frames;
    }

    private static byte[] bytes(String text) {
        StringBuilder latin = new StringBuilder();
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) == '<') {
                latin.append((char) Integer.parseInt(text.substring(i + 1, i + 3), 16));
                i += 3;
            } else {
                latin.append(text.charAt(i));
            }
        }
        return latin.toString().getBytes(StandardCharsets.ISO_8859_1);
    }
}
