package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.HexFormat;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Device descriptions of a VMM")
class DeviceDescriptionJsonTest {
    private static final String UART = """
            {"name": "uart", "instance-id": 3, "version": 2, "minimum-version": 1,
             "fields": [
              {"name": "level", "type": "uint8"},
              {"name": "fifo", "type": "uint8", "array-len": 16, "length-field": "level"},
              {"name": "raw", "type": "buffer", "size": 4, "length-field": "level"},
              {"name": "regs", "type": "struct", "array-len": 2, "version": 2, "vmsd-name": "reg",
               "fields": [{"name": "value", "type": "int16"}],
               "subsections": [{"name": "reg/lock", "version": 1, "fields": [{"name": "locked", "type": "bool"}]}]},
              {"name": "pad", "type": "unused_buffer", "size": 2},
              {"name": "map", "type": "bitmap", "size": 65}],
             "subsections": [
              {"name": "uart/timeout", "version": 4, "minimum-version": 3, "fields": [{"name": "expiry", "type": "timer"}]}]}
            """;
    private static final String BODY = "02  0A0B  0C0D  0001 0508 7265672F6C6F636B 00000001 01  0002  FFFF"
            + "0000000000000001 0000000000000001"
            + "050C 756172742F74696D656F7574 00000004 FFFFFFFFFFFFFFFF";

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }

    @Test
    void describesASection() throws Exception {
        DeviceDescriptionJson.Device device = DeviceDescriptionJson.parse(UART);
        DynamicState state = new DynamicState();

        VmStateCodec.load(device.description(), state, StreamReader.of(bytes(BODY)), 2);
        WireWriter saved = new WireWriter();
        VmStateCodec.save(device.description(), state, saved);

        assertThat(device.name()).isEqualTo("uart");
        assertThat(device.instanceId()).isEqualTo(3);
        assertThat(device.description().minimumVersion()).isEqualTo(1);
        assertThat(state.number("fifo", 1)).isEqualTo(0x0B);
        assertThat(state.child("regs", 0).number("locked")).isEqualTo(1);
        assertThat(state.number("expiry")).isEqualTo(-1);
        assertThat(HexFormat.of().withUpperCase().formatHex(saved.toByteArray()))
                .isEqualTo(BODY.replace(" ", "").replace("FFFF" + "0000000000000001", "0000" + "0000000000000001"));
    }

    @Test
    void walkerReturnsTheBytesUnchangedAndStopsAtTheEnd() throws Exception {
        byte[] body = bytes(BODY);
        StreamReader in = StreamReader.of(bytes(BODY + "7E00000003"));

        byte[] walked = VmStateWalker.readBody(DeviceDescriptionJson.parse(UART).description(), in, 2);

        assertThat(walked).isEqualTo(body);
        assertThat(in.offset()).isEqualTo(body.length);
    }

    @Test
    void walkerLeavesOutWhatIsNewer() throws IOException {
        byte[] body = bytes("00  FFFF  0000000000000001 0000000000000001");

        assertThat(VmStateWalker.readBody(DeviceDescriptionJson.parse(UART).description(), StreamReader.of(body), 1))
                .isEqualTo(body);
    }

    @Test
    void walkerDoesNotCompareWithLocalValues() throws IOException {
        VmStateDescription<DynamicState> description =
                DeviceDescriptionJson.parse("""
                        {"name": "d", "version": 1, "fields": [{"name": "a", "type": "uint8 equal"},
                         {"name": "b", "type": "int32 le"}]}""").description();

        assertThat(VmStateWalker.readBody(description, StreamReader.of(bytes("0700000008")), 1))
                .isEqualTo(bytes("0700000008"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        count too high | 05                           | uart.raw at offset 6: expected a count of 0 to 4, got 5
        cut            | 02 0A                        | uart.fifo at offset 2: expected 1 bytes, got end of input after 0 bytes
        """)
    void walkerRefuses(String why, String hex, String message) {
        String padded = why.equals("cut") ? hex : hex + "00".repeat(5);
        assertThatThrownBy(() -> VmStateWalker.readBody(
                        DeviceDescriptionJson.parse(UART).description(), StreamReader.of(bytes(padded)), 2))
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void walkerHasALimit() {
        assertThatThrownBy(() -> VmStateWalker.readBody(
                        DeviceDescriptionJson.parse(UART).description(),
                        StreamReader.of(bytes(BODY)),
                        2,
                        new VmStateLimits(4, 10)))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("uart.raw at offset 3: expected a section of at most 4 bytes, got 2 more after 3");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        no object          | []                                                            | device: not an object
        text behind        | {"name":"d","version":1,"fields":[]} {}                       | device: text after the object
        unknown key        | {"name":"d","version":1,"fields":[],"size":1}                 | device: unknown key 'size'
        no name            | {"version":1,"fields":[]}                                     | device: no name
        no version         | {"name":"d","fields":[]}                                      | device: no version
        no fields          | {"name":"d","version":1}                                      | device: no fields
        empty name         | {"name":"","version":1,"fields":[]}                           | device.name: not a name of 1 to 255 bytes: ''
        number as name     | {"name":1,"version":1,"fields":[]}                            | device.name: not a string
        version too high   | {"name":"d","version":256,"fields":[]}                        | device.version: 256 is not in 0 to 255
        negative version   | {"name":"d","version":-1,"fields":[]}                         | device.version: -1 is not in 0 to 255
        fraction           | {"name":"d","version":1.5,"fields":[]}                        | device.version: not an integer
        far too high       | {"name":"d","version":99999999999999999999,"fields":[]}       | device.version: 99999999999999999999 is not in 0 to 255
        reserved instance  | {"name":"d","version":1,"instance-id":4294967295,"fields":[]} | device.instance-id: 4294967295 is not in 0 to 4294967294
        minimum above      | {"name":"d","version":1,"minimum-version":2,"fields":[]}      | device: d: minimum version 2 is above version 1
        fields no array    | {"name":"d","version":1,"fields":{}}                          | device.fields: not an array
        field no object    | {"name":"d","version":1,"fields":[1]}                         | device.fields[0]: not an object
        field without type | {"name":"d","version":1,"fields":[{"name":"a"}]}              | device.fields[0]: no type
        unknown type       | {"name":"d","version":1,"fields":[{"name":"a","type":"u8"}]}  | device.fields[0]: unknown type 'u8'
        unknown field key  | {"name":"d","version":1,"fields":[{"name":"a","type":"uint8","len":1}]} | device.fields[0]: unknown key 'len'
        second name        | {"name":"d","version":1,"fields":[{"name":"a","type":"bool"},{"name":"a","type":"bool"}]} | device.fields[1]: a second field 'a'
        size of a number   | {"name":"d","version":1,"fields":[{"name":"a","type":"bool","size":1}]} | device.fields[0]: a bool has no size
        buffer, no size    | {"name":"d","version":1,"fields":[{"name":"a","type":"buffer"}]} | device.fields[0]: a buffer without size
        buffer array       | {"name":"d","version":1,"fields":[{"name":"a","type":"buffer","size":1,"array-len":2}]} | device.fields[0]: a buffer has no array-len
        huge buffer        | {"name":"d","version":1,"fields":[{"name":"a","type":"buffer","size":67108865}]} | device.fields[0].size: 67108865 is not in 0 to 67108864
        struct, no fields  | {"name":"d","version":1,"fields":[{"name":"a","type":"struct"}]} | device.fields[0]: a struct without fields
        fields of a number | {"name":"d","version":1,"fields":[{"name":"a","type":"bool","fields":[]}]} | device.fields[0]: a bool has no fields
        unbounded array    | {"name":"d","version":1,"fields":[{"name":"n","type":"uint8"},{"name":"a","type":"bool","length-field":"n"}]} | device.fields[1]: length-field without array-len, which bounds it
        count comes later  | {"name":"d","version":1,"fields":[{"name":"a","type":"bool","array-len":2,"length-field":"n"},{"name":"n","type":"uint8"}]} | device.fields[0]: length-field 'n' is not an integer field before it
        count is an array  | {"name":"d","version":1,"fields":[{"name":"n","type":"uint8","array-len":2},{"name":"a","type":"bool","array-len":2,"length-field":"n"}]} | device.fields[1]: length-field 'n' is not an integer field before it
        foreign subsection | {"name":"d","version":1,"fields":[],"subsections":[{"name":"e/x","version":1,"fields":[]}]} | device: the name of subsection 'e/x' does not continue 'd'
        subsection's key   | {"name":"d","version":1,"fields":[],"subsections":[{"name":"d/x","instance-id":1,"version":1,"fields":[]}]} | device.subsections[0]: unknown key 'instance-id'
        nested problem     | {"name":"d","version":1,"fields":[{"name":"s","type":"struct","fields":[{"name":"a","type":"?"}]}]} | device.fields[0].fields[0]: unknown type '?'
        """)
    void rejects(String why, String json, String message) {
        assertThatThrownBy(() -> DeviceDescriptionJson.parse(json))
                .as(why)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(message);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        cut           | {"name":"d"
        repeated key  | {"name":"d","name":"e","version":1,"fields":[]}
        """)
    void rejectsWhatIsNotJson(String why, String json) {
        assertThatThrownBy(() -> DeviceDescriptionJson.parse(json))
                .as(why)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("device: not JSON: ");
    }

    @Test
    void deepNestingIsRefused() {
        String open = "{\"name\":\"s\",\"type\":\"struct\",\"fields\":[";
        String json = "{\"name\":\"d\",\"version\":1,\"fields\":[" + open.repeat(20) + "]}".repeat(20) + "]}";

        assertThatThrownBy(() -> DeviceDescriptionJson.parse(json))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageEndingWith("nested more than 16 levels deep");
    }
}
