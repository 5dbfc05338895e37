package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescription.Field;
import java.util.HexFormat;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Trailing description")
class VmDescriptionTest {
    private static Device device(String fields) throws VmDescriptionException {
        return VmDescription.parse("{\"page_size\": 4096, \"devices\": [{\"name\": \"d\", \"instance_id\": 0, "
                        + "\"vmsd_name\": \"d\", \"version\": 1, " + fields + "}]}")
                .devices()
                .getFirst();
    }

    private static int length(String fields, String hex) throws VmDescriptionException {
        return VmDescription.bodyLength(device(fields), HexFormat.of().parseHex(hex.replace(" ", "")), 0);
    }

    @Test
    void parsesDevicesAndKeepsTheirText() throws Exception {
        String device = "{\"name\": \"0000:00:01.1/ide\", \"instance_id\": 4294967294, \"vmsd_name\": \"ide\", "
                + "\"version\": 3, \"fields\": [{\"name\": \"bus[0].ifs\", \"index\": 0, \"type\": \"uint8\", \"size\": 1}]}";

        VmDescription description = VmDescription.parse(
                "{\"configuration\": {\"vmsd_name\": \"configuration\", \"version\": 1, \"fields\": []}, \"later\": [{}],"
                        + " \"page_size\": 4096, \"devices\": [" + device + "]}");

        assertThat(description.pageSizeBytes()).isEqualTo(4096);
        assertThat(description.configuration())
                .hasValueSatisfying(c -> assertThat(c.name()).isEqualTo("configuration"));
        assertThat(description.device("0000:00:01.1/ide", -2)).hasValueSatisfying(d -> {
            assertThat(d.json()).isEqualTo(device);
            assertThat(d.layout().version()).isEqualTo(3);
            assertThat(d.layout().fields()).extracting(Field::name).containsExactly("bus[0].ifs");
        });
    }

    @Test
    void keepsEveryElementOfAList() throws Exception {
        Field list = device("""
                "fields": [{"name": "l", "type": "qtailq",
                  "vmsd_name": "e", "version": 1, "fields": [{"name": "a", "type": "uint8", "size": 1}],
                  "vmsd_name": "e", "version": 1, "fields": [{"name": "b", "type": "uint8", "size": 1}],
                  "subsections": [{"vmsd_name": "e/s", "version": 1, "fields": []}],
                  "vmsd_name": "e", "version": 1, "fields": [],
                  "size": 14}]""").layout().fields().getFirst();

        assertThat(list.nested())
                .extracting(l -> l.fields().size(), l -> l.subsections().size())
                .containsExactly(tuple(1, 0), tuple(1, 1), tuple(0, 0));
        assertThat(list.sizeBytes()).isEqualTo(14);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        a field                 | "fields": [{"name":"a","type":"uint32","size":4}]                        | 4
        an array                | "fields": [{"name":"a","array_len":3,"type":"uint32","size":4}]          | 12
        no fields               | "fields": []                                                             | 0
        an unknown type         | "fields": [{"name":"a","type":"scsi-requests","size":5}]                 | 5
        a NULL run              | "fields": [{"name":"a","array_len":6,"type":"nullptr","size":1}]         | 6
        elements with an index  | "fields": [{"name":"a","index":0,"type":"uint8","size":1},{"name":"a","type":"uint8","size":1}] | 2
        an array of structs     | "fields": [{"name":"a","array_len":2,"type":"struct","struct":{"vmsd_name":"s","version":1,"fields":[{"name":"b","type":"uint16","size":2}]},"size":2}] | 4
        empty structs           | "fields": [{"name":"a","array_len":2147483647,"type":"struct","struct":{"vmsd_name":"s","version":1,"fields":[]},"size":0}] | 0
        a temporary             | "fields": [{"name":"t","type":"tmp","vmsd_name":"t","version":0,"fields":[{"name":"m","type":"uint64","size":8}],"size":8}] | 8
        """)
    void measures(String what, String fields, int expected) throws Exception {
        assertThat(length(fields, "00".repeat(16))).as(what).isEqualTo(expected);
    }

    @Test
    void measuresSubsectionsByTheirHeaders() throws Exception {
        String fields = """
                "fields": [], "subsections": [{"vmsd_name": "d/x", "version": 2,
                 "fields": [{"name": "a", "type": "uint8", "size": 1}]}]""";

        assertThat(length(fields, "05 03 642F78 00000002 AA FFFF")).isEqualTo(10);
        assertThatThrownBy(() -> length(fields, "05 03 642F78 00000001 AA FFFF"))
                .isInstanceOf(VmDescriptionException.class)
                .hasMessage("d: no header of subsection d/x version 2 at byte 0 of the body");
        assertThatThrownBy(() -> length(fields, "05 03 642F"))
                .isInstanceOf(VmDescriptionException.class)
                .hasMessage("d.d/x: 9 bytes are described, 4 are left");
    }

    @Test
    void measuresFromWithinARun() throws Exception {
        Device device = device("\"fields\": [{\"name\":\"a\",\"type\":\"uint32\",\"size\":4}]");

        assertThat(VmDescription.bodyLength(device, new byte[6], 2)).isEqualTo(4);
        assertThatThrownBy(() -> VmDescription.bodyLength(device, new byte[6], 3))
                .isInstanceOf(VmDescriptionException.class);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        more than there is   | "fields": [{"name":"a","type":"buffer","size":17}]                            | d.a: 17 bytes are described, 16 are left
        far more             | "fields": [{"name":"a","array_len":2147483647,"type":"b","size":2147483647}]  | d.a: 4611686014132420609 bytes are described, 16 are left
        struct doesn't add up| "fields": [{"name":"a","type":"struct","struct":{"vmsd_name":"s","version":1,"fields":[{"name":"b","type":"uint16","size":2}]},"size":3}] | d.a: a struct of 3 bytes has fields of 2 bytes
        """)
    void reportsWhatDoesNotFit(String why, String fields, String message) {
        assertThatThrownBy(() -> length(fields, "00".repeat(16)))
                .as(why)
                .isInstanceOf(VmDescriptionException.class)
                .hasMessage(message);
    }

    @Test
    void endlessStructsAreGivenUp() {
        String many = "{\"name\":\"z\",\"type\":\"buffer\",\"size\":0},".repeat(2000);
        assertThatThrownBy(() -> VmDescription.bodyLength(
                        device("\"fields\": [{\"name\":\"a\",\"array_len\":2147483647,\"type\":\"struct\",\"struct\":"
                                + "{\"vmsd_name\":\"s\",\"version\":1,\"fields\":[" + many
                                + "{\"name\":\"b\",\"type\":\"uint8\",\"size\":1}]},\"size\":1}]"),
                        new byte[100_000],
                        0))
                .isInstanceOf(VmDescriptionException.class)
                .hasMessageEndingWith("elements");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        no JSON            | {"devices": [               | description: not JSON
        no text            | `                           ` | description: not an object
        an array           | []                          | description: not an object
        devices no array   | {"devices": 1}              | devices: not an array
        device no object   | {"devices": [1]}            | devices[0]: not an object
        device without name| {"devices": [{"fields":[]}]}| devices[0]: no name
        bad page size      | {"page_size": -1}           | page_size: -1 is not in 0 to 9223372036854775807
        huge page size     | {"page_size": 99999999999999999999} | page_size: 99999999999999999999 is not in 0 to 9223372036854775807
        fraction           | {"page_size": 4.5}          | page_size: not an integer
        field without type | {"devices": [{"name":"a","fields":[{"name":"f","size":1}]}]} | devices[0].fields[0]: no name or no type
        field without size | {"devices": [{"name":"a","fields":[{"name":"f","type":"t"}]}]} | devices[0].fields[0]: field f has no size
        negative size      | {"devices": [{"name":"a","fields":[{"name":"f","type":"t","size":-1}]}]} | devices[0].fields[0].size: -1 is not in 0 to 2147483647
        nameless subsection| {"devices": [{"name":"a","vmsd_name":"a","subsections":[{"vmsd_name":"","version":1}]}]} | devices[0].subsections[0]: vmsd_name is not a name of 1 to 255 bytes
        struct without name| {"devices": [{"name":"a","fields":[{"name":"f","type":"struct","struct":{"fields":[]},"size":0}]}]} | devices[0].fields[0].struct: no vmsd_name
        """)
    void rejects(String why, String json, String message) {
        assertThatThrownBy(() -> VmDescription.parse(json))
                .as(why)
                .isInstanceOf(VmDescriptionException.class)
                .hasMessage(message);
    }

    @Test
    void deepNestingIsRefused() {
        String open = "{\"name\":\"f\",\"type\":\"struct\",\"size\":0,\"struct\":{\"vmsd_name\":\"s\",\"fields\":[";
        String json = "{\"devices\": [{\"name\":\"a\",\"fields\":[" + open.repeat(100) + "]}}".repeat(100) + "]}]}";

        assertThatThrownBy(() -> VmDescription.parse(json))
                .isInstanceOf(VmDescriptionException.class)
                .hasMessageEndingWith("nested more than 64 levels deep");
    }
}
