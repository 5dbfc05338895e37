package io.migrationd.migrationd.guest.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.migrationd.guest.process.GuestMessage.Bye;
import io.migrationd.migrationd.guest.process.GuestMessage.Check;
import io.migrationd.migrationd.guest.process.GuestMessage.Hello;
import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Refused;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import io.migrationd.migrationd.guest.process.GuestMessage.SectionHeader;
import io.migrationd.protocol.wire.ProtocolException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class GuestMessageCodecTest {
    static Stream<Arguments> messages() {
        GuestHello hello = new GuestHello(
                "web01",
                Optional.of(UUID.fromString("d6b2b6f0-5a4d-4a1c-8a5e-9b1d1c0a0001")),
                4711,
                "vmm-1.0",
                4096,
                GuestMode.RUNNING,
                2,
                List.of(new Region("pc.ram", 0, 0x7f00_0000_0000L, 1 << 21, 4096, 1, 4096)),
                List.of(JsonNodeFactory.instance.objectNode().put("name", "uart")),
                true);
        List<SectionHeader> sections = List.of(new SectionHeader("uart", 0, 2, 5), new SectionHeader("uart", -2, 1, 0));
        return Stream.of(
                Arguments.of("hello", new Hello(hello), 0),
                Arguments.of("ready", new Ready(1), 0),
                Arguments.of("refused", new Refused("because"), 0),
                Arguments.of("stop", new Request(1, GuestVerb.STOP, false, List.of()), 0),
                Arguments.of("run", new Request(2, GuestVerb.RUN, true, List.of()), 0),
                Arguments.of("load", new Request(3, GuestVerb.LOAD, false, sections), 5),
                Arguments.of("done", Reply.done(1), 0),
                Arguments.of("failed", Reply.failed(1, "no"), 0),
                Arguments.of("saved", new Reply(4, Optional.empty(), Optional.empty(), sections), 5),
                Arguments.of("status", new Reply(5, Optional.empty(), Optional.of(GuestMode.PAUSED), List.of()), 0),
                Arguments.of("check", new Check(Map.of("violations", 0, "verified", true)), 0),
                Arguments.of("bye", new Bye("powered off"), 0));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("messages")
    void decodesWhatItEncodes(String name, GuestMessage message, int payload) throws Exception {
        byte[] line = GuestMessageCodec.encode(message, payload);

        assertThat(line[line.length - 1]).as(name).isEqualTo((byte) '\n');
        GuestMessageCodec.Line decoded = GuestMessageCodec.decode(Arrays.copyOf(line, line.length - 1), 0);
        assertThat(decoded.message()).isEqualTo(message);
        assertThat(decoded.payloadBytes()).isEqualTo(payload);
    }

    @Test
    void writesARequestAsTheDocumentShows() {
        byte[] line = GuestMessageCodec.encode(
                new Request(3, GuestVerb.LOAD, false, List.of(new SectionHeader("uart", 0, 2, 5))), 5);

        assertThat(new String(line, StandardCharsets.UTF_8)).isEqualTo("""
                        {"type":"request","id":3,"verb":"load",\
                        "sections":[{"name":"uart","instance-id":0,"version":2,"length":5}],"payload":5}
                        """);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
                    not JSON           | hello                                             | message at offset 77: expected a JSON object
                    not an object      | []                                                | message at offset 77: expected an object, got []
                    nothing            | {}                                                | message.type at offset 77: expected a string of 1 to 1024 characters, got nothing
                    two objects        | {"type":"ready","version":1} {}                   | message at offset 77: expected a JSON object
                    a member twice     | {"type":"ready","version":1,"version":1}           | message at offset 77: expected a JSON object
                    unknown type       | {"type":"reboot"}                                 | message.type at offset 77: expected a message type, got reboot
                    unknown member     | {"type":"bye","reason":"","code":7}               | message.code at offset 77: expected no such member, got 7
                    unknown verb       | {"type":"request","id":1,"verb":"reboot"}         | message.verb at offset 77: expected one of [stop, resume, save, load, run, discard, release, status], got reboot
                    id 0               | {"type":"reply","id":0}                           | message.id at offset 77: expected an integer from 1 to
                    id is text         | {"type":"reply","id":"1"}                         | message.id at offset 77: expected an integer from 1 to
                    id is a fraction   | {"type":"reply","id":1.5}                         | message.id at offset 77: expected an integer from 1 to
                    id above 63 bits   | {"type":"reply","id":9223372036854775808}         | message.id at offset 77: expected an integer from 1 to
                    payload negative   | {"type":"reply","id":1,"payload":-1}              | message.payload at offset 77: expected an integer from 1 to 67108864, got -1
                    payload too large  | {"type":"reply","id":1,"payload":67108865}        | message.payload at offset 77: expected an integer from 1 to 67108864, got 67108865
                    payload of nothing | {"type":"reply","id":1,"payload":5}               | message.payload at offset 77: expected none without sections, got 5
                    payload with check | {"type":"check","report":{},"payload":5}          | message.payload at offset 77: expected none with check, got 5
                    sum differs        | {"type":"reply","id":1,"sections":[{"name":"a","instance-id":0,"version":1,"length":4}],"payload":5} | message.payload at offset 77: expected the 4 bytes of all sections, got 5
                    sum overflows      | {"type":"reply","id":1,"sections":[{"name":"a","instance-id":0,"version":1,"length":67108864},{"name":"b","instance-id":0,"version":1,"length":67108864}],"payload":5} | message.payload at offset 77: expected the 134217728 bytes of all sections, got 5
                    section length     | {"type":"reply","id":1,"sections":[{"name":"a","instance-id":0,"version":1,"length":-4}]} | message.sections[0].length at offset 77: expected an integer from 0
                    section name       | {"type":"reply","id":1,"sections":[{"name":"a b","instance-id":0,"version":1,"length":4}]} | message.sections[0].name at offset 77: expected 1 to 255 printable characters
                    report is a list   | {"type":"check","report":[]}                      | message.report at offset 77: expected an object, got []
                    """)
    void refuses(String why, String line, String message) {
        assertThatThrownBy(() -> GuestMessageCodec.decode(line.getBytes(StandardCharsets.UTF_8), 77))
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void refusesDeepNesting() {
        String deep = "{\"type\":\"check\",\"report\":{\"a\":" + "[".repeat(10_000) + "]".repeat(10_000) + "}}";

        assertThatThrownBy(() -> GuestMessageCodec.decode(deep.getBytes(StandardCharsets.UTF_8), 0))
                .isInstanceOf(ProtocolException.class)
                .hasMessageContaining("nesting depth");
    }

    @Test
    void refusesBytesThatAreNotUtf8() {
        byte[] line = "{\"type\":\"bye\",\"reason\":\"?\"}".getBytes(StandardCharsets.US_ASCII);
        line[line.length - 3] = (byte) 0xC3;

        assertThatThrownBy(() -> GuestMessageCodec.decode(line, 0)).isInstanceOf(ProtocolException.class);
    }
}
