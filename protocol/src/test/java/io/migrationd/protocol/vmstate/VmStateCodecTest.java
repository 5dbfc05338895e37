package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.vmstate.VmDescriptionWriter.Saved;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("VMState codec")
class VmStateCodecTest {
    private static VmStateDescription.Builder<DynamicState> named(int version) {
        return VmStateDescription.named("d", version);
    }

    @SafeVarargs
    @SuppressWarnings("varargs") // Copied at once.
    private static VmStateDescription<DynamicState> of(VmStateField<DynamicState>... fields) {
        return named(1).fields(fields).build();
    }

    private static VmStateField<DynamicState> u8(String name) {
        return DynamicFields.scalar(ScalarType.UINT8, name);
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replaceAll("\\s", ""));
    }

    private static String save(VmStateDescription<DynamicState> description, DynamicState state)
            throws VmStateException {
        WireWriter out = new WireWriter();
        VmStateCodec.save(description, state, out);
        return HexFormat.of().formatHex(out.toByteArray());
    }

    private static String fieldsJson(VmStateDescription<DynamicState> description, DynamicState state)
            throws VmStateException {
        String json = VmDescriptionWriter.save("d", 0, description, state).json();
        return json.substring(json.indexOf("\"fields\": [") + 11, json.lastIndexOf("]"));
    }

    private static DynamicState load(VmStateDescription<DynamicState> description, String hex, int version)
            throws IOException {
        DynamicState state = new DynamicState();
        loadInto(state, description, hex, version);
        return state;
    }

    private static void loadInto(
            DynamicState state, VmStateDescription<DynamicState> description, String hex, int version)
            throws IOException {
        StreamReader in = StreamReader.of(bytes(hex));
        VmStateCodec.load(description, state, in, version);
        assertThat(in.atEnd()).as("all bytes are read").isTrue();
    }

    private static void assertRejected(
            VmStateDescription<DynamicState> description, DynamicState state, String hex, String message) {
        assertThatThrownBy(() -> loadInto(state, description, hex, 1))
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    /** The keyboard controller of a PC, typed. */
    private static final class Keyboard {
        private long writeCommand;
        private long status;
        private long mode;
        private long pending;
        private long flags;
        private long source;
        private long data;
        private long command;
        private boolean extended;
    }

    private static final VmStateDescription<Keyboard> EXTENDED = VmStateDescription.<Keyboard>named(
                    "pckbd/extended_state", 0)
            .needed(k -> k.extended)
            .postLoad((k, version) -> k.extended = true)
            .fields(
                    Fields.u32("migration_flags", k -> k.flags, (k, v) -> k.flags = v),
                    Fields.u32("obsrc", k -> k.source, (k, v) -> k.source = v),
                    Fields.u8("obdata", k -> k.data, (k, v) -> k.data = v),
                    Fields.u8("cbdata", k -> k.command, (k, v) -> k.command = v))
            .build();

    private static final VmStateDescription<Keyboard> KBD = VmStateDescription.<Keyboard>named("pckbd", 3)
            .fields(
                    Fields.u8("write_cmd", k -> k.writeCommand, (k, v) -> k.writeCommand = v),
                    Fields.u8("status", k -> k.status, (k, v) -> k.status = v),
                    Fields.u8("mode", k -> k.mode, (k, v) -> k.mode = v),
                    Fields.u8("pending_tmp", k -> k.pending, (k, v) -> k.pending = v))
            .subsections(EXTENDED)
            .build();

    private static final VmStateDescription<Keyboard> PCKBD = VmStateDescription.<Keyboard>named("pckbd", 3)
            .fields(Fields.struct("kbd", KBD, k -> k))
            .build();

    @Test
    void keyboardOfARealStream() throws Exception {
        byte[] body = bytes("001c6100 05 14 70636b62642f657874656e6465645f7374617465 00000000 00000000 00000000 fa00");
        Keyboard keyboard = new Keyboard();
        StreamReader in = StreamReader.of(body);

        VmStateCodec.load(PCKBD, keyboard, in, 3);
        Saved saved = VmDescriptionWriter.save("pckbd", 0, PCKBD, keyboard);

        assertThat(in.atEnd()).isTrue();
        assertThat(keyboard.status).isEqualTo(0x1c);
        assertThat(keyboard.data).isEqualTo(0xfa);
        assertThat(saved.body()).isEqualTo(body);
        assertThat(saved.json())
                .isEqualTo("{\"name\": \"pckbd\", \"instance_id\": 0, \"vmsd_name\": \"pckbd\", \"version\": 3, "
                        + "\"fields\": [{\"name\": \"kbd\", \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"pckbd\", "
                        + "\"version\": 3, \"fields\": [{\"name\": \"write_cmd\", \"type\": \"uint8\", \"size\": 1}, "
                        + "{\"name\": \"status\", \"type\": \"uint8\", \"size\": 1}, {\"name\": \"mode\", \"type\": "
                        + "\"uint8\", \"size\": 1}, {\"name\": \"pending_tmp\", \"type\": \"uint8\", \"size\": 1}], "
                        + "\"subsections\": [{\"vmsd_name\": \"pckbd/extended_state\", \"version\": 0, \"fields\": ["
                        + "{\"name\": \"migration_flags\", \"type\": \"uint32\", \"size\": 4}, {\"name\": \"obsrc\", "
                        + "\"type\": \"uint32\", \"size\": 4}, {\"name\": \"obdata\", \"type\": \"uint8\", \"size\": 1}, "
                        + "{\"name\": \"cbdata\", \"type\": \"uint8\", \"size\": 1}]}]}, \"size\": 40}]}");
    }

    @Test
    void unneededSubsectionIsLeftOut() throws Exception {
        Keyboard keyboard = new Keyboard();

        Saved saved = VmDescriptionWriter.save("pckbd", 0, PCKBD, keyboard);

        assertThat(saved.body()).containsExactly(0, 0, 0, 0);
        assertThat(saved.json()).doesNotContain("subsections");
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource(delimiter = '|', textBlock = """
        BOOL         | 1                    | 01
        BOOL         | 0                    | 00
        INT8         | -2                   | fe
        INT16        | -2                   | fffe
        INT32        | -2                   | fffffffe
        INT64        | -2                   | fffffffffffffffe
        UINT8        | 200                  | c8
        UINT16       | 65534                | fffe
        UINT32       | 4294967294           | fffffffe
        UINT64       | -1                   | ffffffffffffffff
        INT32_EQUAL  | -5                   | fffffffb
        UINT8_EQUAL  | 255                  | ff
        UINT16_EQUAL | 256                  | 0100
        UINT32_EQUAL | 65536                | 00010000
        UINT64_EQUAL | 5                    | 0000000000000005
        INT32_LE     | 7                    | 00000007
        TIMER        | -1                   | ffffffffffffffff
        CPU_DOUBLE   | 4609434218613702656  | 3ff8000000000000
        FLOAT64      | -4616189618054758400 | bff0000000000000
        """)
    void numbers(ScalarType type, long value, String hex) throws Exception {
        VmStateDescription<DynamicState> description = of(DynamicFields.scalar(type, "n"));
        DynamicState local = new DynamicState().set("n", value);

        assertThat(save(description, local)).isEqualTo(hex);
        assertThat(fieldsJson(description, local))
                .isEqualTo(
                        "{\"name\": \"n\", \"type\": \"" + type.typeName() + "\", \"size\": " + type.sizeBytes() + "}");
        DynamicState state = type.isStored() ? new DynamicState() : local;
        loadInto(state, description, hex, 1);
        assertThat(state.number("n")).isEqualTo(value);
    }

    @Test
    void anyNonZeroByteIsTrue() throws Exception {
        assertThat(load(of(DynamicFields.scalar(ScalarType.BOOL, "b")), "80", 1).number("b"))
                .isEqualTo(1);
    }

    @ParameterizedTest(name = "{0}: local {1}, received {2}")
    @CsvSource(delimiter = '|', textBlock = """
        INT32_EQUAL  | -1 | fffffffe         | the local value -1, got -2
        UINT8_EQUAL  | 1  | 02               | the local value 1, got 2
        UINT16_EQUAL | 1  | 0002             | the local value 1, got 2
        UINT32_EQUAL | 1  | 00000002         | the local value 1, got 2
        UINT64_EQUAL | 1  | 0000000000000002 | the local value 1, got 2
        INT32_LE     | 4  | 00000005         | 0 to 4, got 5
        INT32_LE     | 4  | ffffffff         | 0 to 4, got -1
        """)
    void valuesThatMustFitTheLocalOne(ScalarType type, long local, String hex, String message) {
        assertRejected(
                of(DynamicFields.scalar(type, "n")),
                new DynamicState().set("n", local),
                hex,
                "d.n at offset 0: expected " + message);
    }

    @Test
    void smallerValueOfALessOrEqualFieldDoesNotReplaceTheLocalOne() throws Exception {
        DynamicState state = new DynamicState().set("n", 4);

        loadInto(state, of(DynamicFields.scalar(ScalarType.INT32_LE, "n")), "00000003", 1);

        assertThat(state.number("n")).isEqualTo(4);
    }

    @Test
    void fieldsExistByVersionOrByTest() throws Exception {
        VmStateDescription<DynamicState> description = named(3).minimumVersion(1)
                .fields(
                        u8("a"),
                        u8("b").since(2),
                        u8("c").since(9).when((s, version) -> version == 1 || s.number("a") == 7))
                .build();

        assertThat(load(description, "01 0C", 1).number("c")).isEqualTo(12);
        assertThat(load(description, "01 0B", 2).number("b")).isEqualTo(11);
        assertThat(load(description, "07 0B 0C", 3).number("c")).isEqualTo(12);
    }

    @ParameterizedTest(name = "version {0}")
    @CsvSource(delimiter = '|', textBlock = """
        1  | d.version at offset 0: expected version 2 to 3, got 1
        4  | d.version at offset 0: expected version 2 to 3, got 4
        -1 | d.version at offset 0: expected version 2 to 3, got -1
        """)
    void versionsOutsideTheRangeAreRefused(int version, String message) {
        VmStateDescription<DynamicState> description =
                named(3).minimumVersion(2).build();

        assertThatThrownBy(() -> load(description, "", version))
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void arraysHaveNoLengthOnTheWire() throws Exception {
        VmStateDescription<DynamicState> description = of(
                DynamicFields.array(ScalarType.UINT16, "fixed", Count.fixed(2)),
                DynamicFields.array(ScalarType.UINT8, "matrix", Count.matrix(2, 2)),
                u8("n"),
                DynamicFields.array(ScalarType.UINT8, "variable", DynamicFields.countOf("n", 3)),
                DynamicFields.buffer("times", Count.of(s -> s.number("n"), 2, 6)),
                Fields.unused("padding", Count.of(s -> s.number("n"), 1, 3)));
        String hex = "0001 0002  01020304  03  0A0B0C  111213141516  000000";

        DynamicState state = load(description, hex, 1);

        assertThat(state.number("fixed", 1)).isEqualTo(2);
        assertThat(state.number("matrix", 3)).isEqualTo(4);
        assertThat(state.number("variable", 2)).isEqualTo(12);
        assertThat(state.bytes("times")).hasSize(6);
        assertThat(save(description, state)).isEqualToIgnoringCase(hex.replace(" ", ""));
        assertThat(fieldsJson(description, state))
                .startsWith("{\"name\": \"fixed\", \"array_len\": 2, \"type\": \"uint16\", \"size\": 2}, "
                        + "{\"name\": \"matrix\", \"array_len\": 4, \"type\": \"uint8\", \"size\": 1}")
                .endsWith("{\"name\": \"padding\", \"type\": \"unused_buffer\", \"size\": 3}");
    }

    @Test
    void partialBufferIsASliceOfTheStatesOwnArray() throws Exception {
        byte[] memory = {1, 2, 3, 4};
        VmStateDescription<byte[]> description = VmStateDescription.<byte[]>named("d", 1)
                .fields(Fields.partialBuffer("m", 1, 2, m -> m))
                .build();
        WireWriter out = new WireWriter();

        VmStateCodec.save(description, memory, out);
        VmStateCodec.load(description, memory, StreamReader.of(bytes("0909")), 1);

        assertThat(out.toByteArray()).containsExactly(2, 3);
        assertThat(memory).containsExactly(1, 9, 9, 4);
    }

    @ParameterizedTest(name = "count {0}")
    @CsvSource(delimiter = '|', textBlock = """
        00000004 | expected a count of 0 to 3, got 4
        ffffffff | expected a count of 0 to 3, got -1
        7fffffff | expected a count of 0 to 3, got 2147483647
        """)
    void receivedCountsAreChecked(String count, String message) {
        VmStateField<DynamicState> n = DynamicFields.scalar(ScalarType.INT32, "n");
        List<VmStateField<DynamicState>> users = List.of(
                DynamicFields.array(ScalarType.UINT8, "x", DynamicFields.countOf("n", 3)),
                DynamicFields.buffer("x", Count.of(s -> s.number("n"), 4, 12)),
                DynamicFields.bitmap("x", DynamicFields.countOf("n", 3)),
                Fields.unused("x", Count.of(s -> s.number("n"), 2, 7)));

        assertThat(users)
                .allSatisfy(x -> assertRejected(
                        of(n, x), new DynamicState(), count + "00".repeat(64), "d.x at offset 4: " + message));
    }

    @Test
    void countsThatDoNotFitAreNotSaved() {
        VmStateDescription<DynamicState> description =
                of(u8("n"), DynamicFields.array(ScalarType.UINT8, "x", DynamicFields.countOf("n", 3)));

        assertThatThrownBy(() -> save(description, new DynamicState().set("n", 4)))
                .isInstanceOf(VmStateException.class)
                .hasMessage("d.x: count 4 times 1 is not in 0 to 3");
        assertThatThrownBy(() -> save(of(DynamicFields.buffer("b", Count.fixed(3))), new DynamicState()))
                .isInstanceOf(VmStateException.class)
                .hasMessage("b: 3 bytes to be saved, 0 are there");
    }

    @Test
    void bitmapWordsAreBigEndian() throws Exception {
        VmStateDescription<DynamicState> description = of(
                DynamicFields.scalar(ScalarType.INT32, "bits"),
                DynamicFields.bitmap("map", DynamicFields.countOf("bits", 100)));
        BitSet map = new BitSet();
        map.set(0);
        map.set(9);
        map.set(65);
        DynamicState state = new DynamicState().set("bits", 66).set("map", map);
        String hex = "00000042" + "0000000000000201" + "0000000000000002";

        assertThat(save(description, state)).isEqualTo(hex);
        assertThat(load(description, hex, 1).bits("map")).isEqualTo(map);
        assertThat(load(description, "00000042" + "ff".repeat(16), 1)
                        .bits("map")
                        .cardinality())
                .isEqualTo(66);
    }

    @Test
    void nullElementsAreOneByte() throws Exception {
        VmStateDescription<DynamicState> element = of(u8("a"));
        VmStateDescription<DynamicState> description = of(DynamicFields.pointers("p", Count.fixed(5), element));
        DynamicState state = new DynamicState();
        state.child("p", 2).set("a", 0x77);

        assertThat(save(description, state)).isEqualTo("3030773030");
        assertThat(fieldsJson(description, state))
                .isEqualTo("{\"name\": \"p\", \"array_len\": 2, \"type\": \"nullptr\", \"size\": 1}, "
                        + "{\"name\": \"p\", \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"d\", \"version\": 1, "
                        + "\"fields\": [{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}]}, \"size\": 1}, "
                        + "{\"name\": \"p\", \"array_len\": 2, \"type\": \"nullptr\", \"size\": 1}");
        DynamicState destination = new DynamicState();
        destination.child("p", 2);
        loadInto(destination, description, "3030783030", 1);
        assertThat(destination.child("p", 2).number("a")).isEqualTo(0x78);
        assertRejected(
                description, new DynamicState(), "3030773030", "d.p at offset 2: expected marker 0x30, got 0x77");
    }

    @Test
    void allocatedPointersHaveAMarkerEach() throws Exception {
        VmStateDescription<DynamicState> description =
                of(DynamicFields.allocatedPointers("p", Count.fixed(3), of(u8("a"))));
        DynamicState state = new DynamicState();
        state.child("p", 1).set("a", 0x77);
        Saved saved = VmDescriptionWriter.save("d", 0, description, state);
        DynamicState destination = new DynamicState();
        destination.child("p", 0);

        loadInto(destination, description, "30 3177 30", 1);

        assertThat(saved.body()).isEqualTo(bytes("30 3177 30"));
        assertThat(saved.json()).contains("{\"name\": \"p\", \"index\": 1, \"type\": \"ptr-marker\", \"size\": 1}");
        assertThat(VmDescription.bodyLength(device(saved), saved.body(), 0)).isEqualTo(4);
        assertThat(destination.has("p", 0)).isFalse();
        assertThat(destination.child("p", 1).number("a")).isEqualTo(0x77);
        assertRejected(
                description,
                new DynamicState(),
                "30 3277 30",
                "d.p at offset 1: expected marker 0x30 or 0x31, got 0x32");
    }

    private static VmDescription.Device device(Saved saved) throws VmDescriptionException {
        return VmDescription.parse("{\"devices\": [" + saved.json() + "]}")
                .devices()
                .getFirst();
    }

    @Test
    void versionedStructUsesTheFieldsVersion() throws Exception {
        VmStateDescription<DynamicState> inner =
                named(2).minimumVersion(1).fields(u8("a"), u8("b").since(2)).build();
        VmStateDescription<DynamicState> description = of(
                Fields.versionedStruct("old", inner, 1, s -> s.child("old")),
                Fields.struct("new", inner, s -> s.child("new")));
        DynamicState state = load(description, "01 0203", 1);

        assertThat(state.child("new").number("b")).isEqualTo(3);
        assertThat(save(description, state)).isEqualTo("010203");
        assertThat(fieldsJson(description, state))
                .startsWith("{\"name\": \"old\", \"type\": \"vstruct\", \"vmsd_name\": \"d\", \"version\": 1, "
                        + "\"fields\": [{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}], \"size\": 1}");
    }

    @Test
    void temporaryCarriesValuesByItsHooks() throws Exception {
        VmStateDescription<DynamicState[]> temporary = VmStateDescription.<DynamicState[]>named("tmp_half", 0)
                .preSave(t -> t[1].set("half", t[0].number("n") / 2))
                .postLoad((t, version) -> t[0].set("n", 2 * t[1].number("half")))
                .fields(Fields.u8("half", t -> t[1].number("half"), (t, v) -> t[1].set("half", v)))
                .build();
        VmStateDescription<DynamicState> description =
                of(Fields.temporary("t", temporary, s -> new DynamicState[] {s, new DynamicState()}));

        assertThat(save(description, new DynamicState().set("n", 8))).isEqualTo("04");
        assertThat(load(description, "05", 1).number("n")).isEqualTo(10);
        assertThat(fieldsJson(description, new DynamicState()))
                .isEqualTo(
                        "{\"name\": \"t\", \"type\": \"tmp\", \"vmsd_name\": \"tmp_half\", \"version\": 0, \"fields\": "
                                + "[{\"name\": \"half\", \"type\": \"uint8\", \"size\": 1}], \"size\": 1}");
    }

    @Test
    void nestedVersionsOfListsAndTemporariesComeFromTheField() throws Exception {
        VmStateDescription<DynamicState> inner =
                named(2).minimumVersion(2).fields(u8("a")).build();

        assertThatThrownBy(() -> load(of(DynamicFields.tailQueue("q", inner)), "01 07 00", 1))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d.version at offset 1: expected version 2 to 2, got 0");
        assertThat(load(
                                named(2).fields(DynamicFields.tailQueue("q", inner)
                                                .since(2))
                                        .build(),
                                "01 07 00",
                                2)
                        .list("q"))
                .hasSize(1);
        assertThatThrownBy(() -> load(of(Fields.temporary("t", inner, s -> s)), "07", 1))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d.version at offset 0: expected version 2 to 2, got 0");
    }

    @Test
    void listsAnnounceEveryElement() throws Exception {
        VmStateDescription<DynamicState> element =
                VmStateDescription.<DynamicState>named("e", 0).fields(u8("a")).build();
        VmStateDescription<DynamicState> description = of(
                DynamicFields.tailQueue("q", element), Fields.list("l", element, s -> s.list("l"), DynamicState::new));

        DynamicState state = load(description, "01 0A 7F 0B 00  00", 1);

        assertThat(state.list("q")).extracting(e -> e.number("a")).containsExactly(10L, 11L);
        assertThat(state.list("l")).isEmpty();
        assertThat(save(description, state)).isEqualTo("010a010b0000");
        String group =
                "\"vmsd_name\": \"e\", \"version\": 0, \"fields\": [{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}], ";
        assertThat(fieldsJson(description, state))
                .isEqualTo("{\"name\": \"q\", \"type\": \"qtailq\", " + group + group + "\"size\": 5}, "
                        + "{\"name\": \"l\", \"type\": \"qlist\", \"size\": 1}");
    }

    @Test
    void listsHaveALimit() {
        VmStateDescription<DynamicState> description = of(DynamicFields.tailQueue(
                "q", VmStateDescription.<DynamicState>named("e", 0).build()));

        assertThatThrownBy(() -> VmStateCodec.load(
                        description,
                        new DynamicState(),
                        StreamReader.of(bytes("010101")),
                        1,
                        new VmStateLimits(100, 2)))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d.q at offset 0: expected at most 2 elements, got more");
    }

    @Test
    void sectionsHaveALimit() {
        VmStateDescription<DynamicState> description = of(DynamicFields.buffer("b", Count.fixed(4)), u8("a"));

        assertThatThrownBy(() -> VmStateCodec.load(
                        description,
                        new DynamicState(),
                        StreamReader.of(bytes("0101010101")),
                        1,
                        new VmStateLimits(4, 2)))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d.a at offset 4: expected a section of at most 4 bytes, got 1 more after 4");
    }

    @Test
    void emptyElementsAreCountedToo() {
        VmStateDescription<DynamicState> nothing = of();
        VmStateDescription<DynamicState> some = of(DynamicFields.structArray("i", Count.fixed(1000), nothing));
        VmStateDescription<DynamicState> many = of(DynamicFields.structArray("o", Count.fixed(1000), some));

        assertThatThrownBy(() -> VmStateCodec.load(
                        many, new DynamicState(), StreamReader.of(new byte[0]), 1, new VmStateLimits(5000, 2)))
                .isInstanceOf(ProtocolException.class)
                .hasMessageEndingWith("expected at most 5000 elements in a section, got more");
    }

    @Test
    void treesCountTheirNodes() throws Exception {
        VmStateDescription<DynamicState> value =
                VmStateDescription.<DynamicState>named("v", 0).fields(u8("a")).build();
        VmStateDescription<DynamicState> description = of(DynamicFields.tree("t", value));
        String hex = "00000002  01 0000000000000005 AA  01 0000000000000006 BB  00";

        DynamicState state = load(description, hex, 1);

        assertThat(state.tree("t").keySet()).containsExactly(5L, 6L);
        assertThat(save(description, state)).isEqualToIgnoringCase(hex.replace(" ", ""));
        assertRejected(
                description,
                new DynamicState(),
                "00000002  01 0000000000000005 AA  00",
                "d.t at offset 0: expected 2 nodes, as announced, got 1");
        assertRejected(
                description,
                new DynamicState(),
                "00000000  01 0000000000000005 AA  00",
                "d.t at offset 0: expected 0 nodes, as announced, got more");
        assertRejected(
                description,
                new DynamicState(),
                "FFFFFFFF",
                "d.t at offset 0: expected at most 65536 nodes, got 4294967295");
    }

    @Test
    void keysOfTreesCanBeDescribed() throws Exception {
        VmStateDescription<long[]> key = VmStateDescription.<long[]>named("k", 0)
                .fields(Fields.u16("key", k -> k[0], (k, v) -> k[0] = v))
                .build();
        Map<long[], long[]> tree = new TreeMap<>((a, b) -> Long.compare(a[0], b[0]));
        VmStateDescription<DynamicState> description =
                of(Fields.tree("t", key, () -> new long[1], key, s -> tree, () -> new long[1]));

        load(description, "00000001 01 0005 0006 00", 1);

        assertThat(tree).hasSize(1);
        assertThat(save(description, new DynamicState())).isEqualTo("00000001010005000600");
    }

    @Test
    void byteArraysCarryTheirLength() throws Exception {
        VmStateDescription<DynamicState> description = of(DynamicFields.byteArray("g", 3));

        DynamicState state = load(description, "00000002 AABB", 1);

        assertThat(save(description, state)).isEqualTo("00000002aabb");
        assertThat(fieldsJson(description, state))
                .isEqualTo("{\"name\": \"g\", \"type\": \"GByteArray\", \"size\": 6}");
        assertRejected(
                description, new DynamicState(), "00000004", "d.g at offset 0: expected a count of 0 to 3, got 4");
        assertThatThrownBy(() -> save(description, new DynamicState().set("g", new byte[4])))
                .isInstanceOf(VmStateException.class);
    }

    @Test
    void capabilitiesAreCountedStrings() throws Exception {
        List<String> names = new ArrayList<>();
        VmStateDescription<List<String>> description = VmStateDescription.<List<String>>named(
                        "configuration/capabilities", 1)
                .fields(Fields.capabilities("caps", Count.fixed(2), List::get, (list, i, name) -> list.add(name)))
                .build();
        byte[] body = bytes("02 6162 01 63");
        WireWriter out = new WireWriter();

        VmStateCodec.load(description, names, StreamReader.of(body), 1);
        VmStateCodec.save(description, names, out);

        assertThat(names).containsExactly("ab", "c");
        assertThat(out.toByteArray()).isEqualTo(body);
    }

    @Test
    void descriptorTravelsWithADummyByte() throws Exception {
        VmStateDescription<DynamicState> description = of(Fields.descriptorPlace("fd"));

        assertThat(save(description, new DynamicState())).isEqualTo("20");
        load(description, "20", 1);
    }

    @Test
    void handWrittenEncoding() throws Exception {
        ElementCodec<DynamicState> codec = new ElementCodec<>() {
            @Override
            public String typeName() {
                return "pci irq state";
            }

            @Override
            public void save(DynamicState state, WireWriter out) {
                out.writeInt((int) state.number("irq"));
            }

            @Override
            public void load(DynamicState state, VmStateReader in) throws IOException {
                long at = in.offset();
                int value = in.readInt();
                if (value > 1) {
                    throw in.rejection(at, "0 or 1", value);
                }
                state.set("irq", value);
            }
        };
        VmStateDescription<DynamicState> description = of(Fields.custom("irq_state", codec));

        assertThat(save(description, load(description, "00000001", 1))).isEqualTo("00000001");
        assertThat(fieldsJson(description, new DynamicState()))
                .isEqualTo("{\"name\": \"irq_state\", \"type\": \"pci irq state\", \"size\": 4}");
        assertRejected(description, new DynamicState(), "00000002", "d.irq_state at offset 0: expected 0 or 1, got 2");
    }

    @Test
    void validationHasNoWireImage() throws Exception {
        VmStateDescription<DynamicState> description =
                of(u8("a"), Fields.validation("a is even", s -> s.number("a") % 2 == 0), u8("b"));

        assertThat(load(description, "02 03", 1).number("b")).isEqualTo(3);
        assertThat(fieldsJson(description, new DynamicState())).doesNotContain("even");
        assertRejected(
                description,
                new DynamicState(),
                "03 03",
                "d.a is even at offset 1: expected a valid state, got one that the check refuses");
        assertThatThrownBy(() -> save(description, new DynamicState().set("a", 1)))
                .isInstanceOf(VmStateException.class)
                .hasMessage("a is even: the state to be saved is not valid");
    }

    private static VmStateDescription<DynamicState> subsection(String name, int version, String field) {
        return VmStateDescription.<DynamicState>named(name, version)
                .fields(u8(field))
                .needed(s -> s.number(field) != 0)
                .build();
    }

    @Test
    void subsectionsAreSavedInOrderAndLoadedInAnyOrder() throws Exception {
        VmStateDescription<DynamicState> description = named(1).subsections(
                        subsection("d/a", 1, "a"), subsection("d/b", 2, "b"))
                .build();
        String a = "0503642f6100000001 0A";
        String b = "0503642f6200000002 0B";

        DynamicState state = load(description, b + a, 1);

        assertThat(save(description, state)).isEqualToIgnoringCase((a + b).replace(" ", ""));
        assertThat(load(description, a + a + a, 1).number("a")).isEqualTo(10);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        unknown         | 0503642f78 00000001 0A | d.subsection at offset 0: expected a subsection that d has, got d/x
        version too new | 0503642f61 00000002 0A | d/a.version at offset 9: expected version 1 to 1, got 2
        version too old | 0503642f61 00000000 0A | d/a.version at offset 9: expected version 1 to 1, got 0
        high bits set   | 0503642f61 00000101 0A | d/a.version at offset 9: expected version 1 to 1, got 257
        cut             | 0503642f61 00000001    | d/a.a at offset 9: expected 1 bytes, got end of input after 0 bytes
        """)
    void subsectionsThatAreRefused(String why, String hex, String message) {
        VmStateDescription<DynamicState> description =
                named(1).subsections(subsection("d/a", 1, "a")).build();

        assertThatThrownBy(() -> load(description, hex, 1))
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        other prefix          | 0503652f61 00000001
        as long as the parent | 0501 64
        end in the name       | 0503 64
        end before the length | 05
        """)
    void whatIsNoSubsectionOfThisParentIsLeftAlone(String what, String hex) throws Exception {
        VmStateDescription<DynamicState> description =
                named(1).subsections(subsection("d/a", 1, "a")).build();
        StreamReader in = StreamReader.of(bytes(hex));

        VmStateCodec.load(description, new DynamicState(), in, 1);

        assertThat(in.offset()).as(what).isZero();
    }

    @Test
    void subsectionOfAnEnclosingStructEndsTheInnerOne() throws Exception {
        VmStateDescription<DynamicState> inner = VmStateDescription.<DynamicState>named("inner", 1)
                .fields(u8("i"))
                .subsections(subsection("inner/x", 1, "x"))
                .build();
        VmStateDescription<DynamicState> outer = named(1).fields(Fields.struct("s", inner, s -> s))
                .subsections(subsection("d/a", 1, "a"))
                .build();

        DynamicState state = load(outer, "01 0503642f61 00000001 0A", 1);

        assertThat(state.number("a")).isEqualTo(10);
    }

    @Test
    void hooksRunInOrderInnermostFirst() throws Exception {
        List<String> calls = new ArrayList<>();
        VmStateDescription<DynamicState> sub = recording("d/s", calls).build();
        VmStateDescription<DynamicState> struct = recording("struct", calls).build();
        VmStateDescription<DynamicState> description = recording("d", calls)
                .fields(DynamicFields.struct("struct", struct))
                .subsections(sub)
                .build();

        save(description, new DynamicState());
        load(description, "0503642f7300000000", 0);

        assertThat(calls)
                .containsExactly(
                        "d pre-save",
                        "struct pre-save",
                        "struct post-save",
                        "d/s pre-save",
                        "d/s post-save",
                        "d post-save",
                        "d pre-load",
                        "struct pre-load",
                        "struct post-load",
                        "d/s pre-load",
                        "d/s post-load",
                        "d post-load");
    }

    private static VmStateDescription.Builder<DynamicState> recording(String name, List<String> calls) {
        return VmStateDescription.<DynamicState>named(name, 0)
                .preSave(s -> calls.add(name + " pre-save"))
                .postSave(s -> calls.add(name + " post-save"))
                .preLoad(s -> calls.add(name + " pre-load"))
                .postLoad((s, version) -> calls.add(name + " post-load"));
    }

    @Test
    void hooksCanRefuse() {
        VmStateException no = new VmStateException("d", "not now");
        VmStateDescription.Hook<DynamicState> refuse = s -> {
            throw no;
        };

        assertThatThrownBy(() -> save(named(1).preSave(refuse).build(), new DynamicState()))
                .isSameAs(no);
        assertThatThrownBy(() -> save(named(1).postSave(refuse).build(), new DynamicState()))
                .isSameAs(no);
        assertThatThrownBy(() -> load(named(1).preLoad(refuse).build(), "", 1))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d at offset 0: expected a state that the pre-load hook accepts, got a refusal")
                .hasCause(no);
        assertThatThrownBy(() ->
                        load(named(1).postLoad((s, version) -> refuse.run(s)).build(), "", 1))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("d at offset 0: expected a state that the post-load hook accepts, got a refusal")
                .hasCause(no);
    }

    @Test
    void postSaveRunsAlsoWhenSavingFails() {
        List<String> calls = new ArrayList<>();
        VmStateDescription<DynamicState> description = named(1).fields(DynamicFields.buffer("b", Count.fixed(1)))
                .postSave(s -> {
                    calls.add("post-save");
                    throw new VmStateException("d", "again");
                })
                .build();

        assertThatThrownBy(() -> save(description, new DynamicState()))
                .hasMessage("b: 1 bytes to be saved, 0 are there")
                .satisfies(e -> assertThat(e.getSuppressed()).hasSize(1));
        assertThat(calls).containsExactly("post-save");
    }

    @Test
    void fieldsOfOneNameAreNumberedInTheDescription() throws Exception {
        VmStateDescription<DynamicState> description =
                of(Fields.unused("unused", Count.fixed(1)), u8("a"), Fields.unused("unused", Count.fixed(2)));

        assertThat(fieldsJson(description, new DynamicState()))
                .isEqualTo("{\"name\": \"unused[0]\", \"type\": \"unused_buffer\", \"size\": 1}, "
                        + "{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}, "
                        + "{\"name\": \"unused[1]\", \"type\": \"unused_buffer\", \"size\": 2}");
    }

    @Test
    void arraysThatMayDifferAreDescribedElementByElement() throws Exception {
        VmStateDescription<DynamicState> element = of(u8("a"), u8("b").when((s, version) -> s.number("a") != 0));
        VmStateDescription<DynamicState> description = of(DynamicFields.structArray("x", Count.fixed(2), element));
        DynamicState state = load(description, "00 0102", 1);

        assertThat(fieldsJson(description, state))
                .isEqualTo("{\"name\": \"x\", \"index\": 0, \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"d\", "
                        + "\"version\": 1, \"fields\": [{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}]}, \"size\": 1}, "
                        + "{\"name\": \"x\", \"type\": \"struct\", \"struct\": {\"vmsd_name\": \"d\", \"version\": 1, "
                        + "\"fields\": [{\"name\": \"a\", \"type\": \"uint8\", \"size\": 1}, {\"name\": \"b\", \"type\": "
                        + "\"uint8\", \"size\": 1}]}, \"size\": 2}");
    }

    @Test
    void descriptionsThatContradictThemselvesAreRefused() {
        assertThatThrownBy(() -> named(1).minimumVersion(2).build())
                .hasMessage("d: minimum version 2 is above version 1");
        assertThatThrownBy(() -> named(1).subsections(subsection("e/a", 1, "a")).build())
                .hasMessage("the name of subsection 'e/a' does not continue 'd'");
        assertThatThrownBy(() -> named(1).subsections(subsection("d", 1, "a")).build())
                .hasMessage("the name of subsection 'd' does not continue 'd'");
        assertThatThrownBy(() -> Count.fixed(-1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> Count.of(s -> 1, 0, 1)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void everyCutIsTruncation() {
        VmStateDescription<DynamicState> description = of(
                DynamicFields.scalar(ScalarType.UINT64, "a"),
                DynamicFields.buffer("b", Count.fixed(3)),
                DynamicFields.tailQueue(
                        "q",
                        VmStateDescription.<DynamicState>named("e", 0)
                                .fields(DynamicFields.scalar(ScalarType.UINT16, "c"))
                                .build()));
        String hex = "0000000000000001" + "020202" + "01" + "0003" + "00";

        for (int length = 0; length < hex.length() / 2; length++) {
            String cut = hex.substring(0, 2 * length);
            assertThatThrownBy(() -> load(description, cut, 1))
                    .isInstanceOf(ProtocolException.class)
                    .hasMessageContaining("end of input");
        }
    }
}
