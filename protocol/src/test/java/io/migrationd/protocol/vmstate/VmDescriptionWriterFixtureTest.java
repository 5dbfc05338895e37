package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescription.Field;
import io.migrationd.protocol.vmstate.VmDescription.Layout;
import io.migrationd.protocol.vmstate.VmDescriptionWriter.Saved;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Turns the description of each captured section into a description of ours, loads the section with it and saves it
 * again: bytes and description text must be those of QEMU.
 */
@DisplayName("Sections of QEMU, loaded and saved again")
class VmDescriptionWriterFixtureTest {
    private static final Map<String, ScalarType> SCALARS =
            Arrays.stream(ScalarType.values()).collect(Collectors.toMap(ScalarType::typeName, Function.identity()));

    /** Elements of its array have different subsections: this test's conversion has one description per array. */
    private static final String ELEMENTS_DIFFER = "hda-audio";

    private static final Pattern NUMBERED = Pattern.compile("(.*)\\[(\\d+)\\]");

    @ParameterizedTest(name = "{0}")
    @ValueSource(strings = {"precopy", "arm", "devices-pc", "uuid", "virtio-mem"})
    void sectionsAreReproduced(String name) throws Exception {
        byte[] tail = Captures.bytes("vmstate-10.0/" + name + ".tail");
        String text = Captures.description(tail);
        VmDescription description = VmDescription.parse(text);
        List<Section> sections =
                SectionSplitter.split(Arrays.copyOf(tail, tail.length - text.length() - 5), description);

        for (Section section : sections) {
            if (section.name().equals(ELEMENTS_DIFFER)) {
                continue;
            }
            Device device =
                    description.device(section.name(), section.instanceId()).orElseThrow();
            VmStateDescription<DynamicState> own = description(device.layout());
            DynamicState state = new DynamicState();
            StreamReader in = StreamReader.of(section.body());

            VmStateCodec.load(own, state, in, section.version());
            Saved saved = VmDescriptionWriter.save(section.name(), section.instanceId(), own, state);

            assertThat(in.atEnd()).as(section.name()).isTrue();
            assertThat(saved.body()).as(section.name()).isEqualTo(section.body());
            assertThat(saved.json()).isEqualTo(device.json());
            assertThat(VmStateWalker.readBody(own, StreamReader.of(section.body()), section.version()))
                    .isEqualTo(section.body());
        }
    }

    @ParameterizedTest(name = "{0}")
    @ValueSource(
            strings = {
                "vmstate-7.2/devices-pc.tail",
                "vmstate-10.0/precopy.tail",
                "vmstate-10.0/arm.tail",
                "vmstate-10.0/uuid.tail",
                "vmstate-10.0/ignore-shared.tail"
            })
    void documentIsReproduced(String name) throws Exception {
        String text = Captures.description(Captures.bytes(name));
        VmDescription description = VmDescription.parse(text);
        int configuration = text.indexOf("\"configuration\": ");
        Optional<String> configurationText = configuration < 0
                ? Optional.empty()
                : Optional.of(text.substring(configuration + 17, text.indexOf(", \"page_size\"")));

        String written = VmDescriptionWriter.document(
                configurationText,
                (int) description.pageSizeBytes(),
                description.devices().stream().map(Device::json).toList());

        assertThat(written).isEqualTo(text);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        precopy       | pc-i440fx-10.0 |    |                 |
        arm           | virt-10.0      | 12 |                 |
        ignore-shared | pc-i440fx-10.0 |    | x-ignore-shared |
        mapped-ram    | pc-i440fx-10.0 |    | mapped-ram      |
        uuid          | pc-i440fx-10.0 |    |                 | 12345678-9abc-def0-1122-334455667788
        """)
    void configurationIsReproduced(
            String name, String machine, @Nullable Integer pageBits, @Nullable String capability, @Nullable UUID uuid) {
        String text = Captures.description(Captures.bytes("vmstate-10.0/" + name + ".tail"));

        String json = ConfigurationDescription.json(
                machine,
                pageBits == null ? OptionalInt.empty() : OptionalInt.of(pageBits),
                capability == null ? List.of() : List.of(capability),
                Optional.ofNullable(uuid));

        assertThat(text).startsWith("{\"configuration\": " + json + ", \"page_size\": ");
    }

    private static VmStateDescription<DynamicState> description(Layout layout) {
        List<VmStateDescription<DynamicState>> subsections = new ArrayList<>();
        for (Layout subsection : layout.subsections()) {
            subsections.add(description(subsection));
        }
        return VmStateDescription.<DynamicState>named(layout.name(), layout.version())
                .fields(fields(layout.fields()))
                .subsections(subsections)
                .build();
    }

    private static List<VmStateField<DynamicState>> fields(List<Field> described) {
        List<VmStateField<DynamicState>> fields = new ArrayList<>();
        Map<String, Integer> counts = new HashMap<>();
        List<String> names = described.stream().map(Field::name).toList();
        for (int i = 0; i < described.size(); ) {
            int end = i + 1;
            while (end < described.size()
                    && described.get(end).name().equals(described.get(i).name())) {
                end++;
            }
            Matcher numbered = NUMBERED.matcher(described.get(i).name());
            String name = described.get(i).name();
            if (numbered.matches() && !names.contains(numbered.group(1))) {
                name = numbered.group(1);
                int missing = Integer.parseInt(numbered.group(2)) - counts.getOrDefault(name, 0);
                fields.addAll(Collections.nCopies(missing, absent(name)));
                counts.merge(name, missing + 1, Integer::sum);
            }
            fields.add(field(name, described.subList(i, end)));
            i = end;
        }
        counts.forEach((name, count) -> fields.addAll(Collections.nCopies(count == 1 ? 1 : 0, absent(name))));
        return fields;
    }

    /** QEMU numbers fields of one name, also those that this stream doesn't have. */
    private static VmStateField<DynamicState> absent(String name) {
        return Fields.unused(name, Count.<DynamicState>fixed(1)).since(Integer.MAX_VALUE);
    }

    /** Elements of one array, each with an entry of its own unless they are uniform. */
    private static VmStateField<DynamicState> field(String name, List<Field> elements) {
        Field first = elements.getFirst();
        String key = first.name();
        Count<DynamicState> count = Count.fixed(Math.max(elements.size(), first.arrayLength()));
        if (first.struct().isPresent()) {
            return uniformity(structs(name, key, count, elements), elements);
        }
        if (first.type().equals("tmp")) {
            return Fields.temporary(name, description(first.nested().getFirst()), s -> s.child(key));
        }
        ScalarType type = SCALARS.get(first.type());
        if (type != null && type.isStored()) {
            return uniformity(
                    Fields.array(type, name, count, (s, i) -> s.number(key, i), (s, i, v) -> s.set(key, i, v)),
                    elements);
        }
        return Fields.custom(name, new Opaque(key, first));
    }

    private static VmStateField<DynamicState> uniformity(VmStateField<DynamicState> field, List<Field> elements) {
        return elements.size() > 1 ? field.when((s, version) -> true) : field;
    }

    private static VmStateField<DynamicState> structs(
            String name, String key, Count<DynamicState> count, List<Field> elements) {
        List<Layout> layouts =
                elements.stream().map(f -> f.struct().orElseThrow()).toList();
        assertThat(layouts).as(key).allMatch(l -> l.equals(layouts.getFirst()));
        return Fields.structArray(name, count, description(layouts.getFirst()), (s, i) -> s.child(key, i));
    }

    /** Anything that only its size tells about. */
    private record Opaque(String key, Field field) implements ElementCodec<DynamicState> {
        @Override
        public String typeName() {
            return field.type();
        }

        @Override
        public void save(DynamicState state, WireWriter out) {
            out.writeBytes(state.bytes(key));
        }

        @Override
        public void load(DynamicState state, VmStateReader in) throws IOException {
            state.set(key, in.readBytes(field.sizeBytes()));
        }
    }
}
