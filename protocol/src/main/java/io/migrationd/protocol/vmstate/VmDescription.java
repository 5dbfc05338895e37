package io.migrationd.protocol.vmstate;

import java.util.List;
import java.util.Optional;

/**
 * The trailing description of a stream: what each device section really held, field by field, with the sizes of this
 * very stream. Wire source: QEMU 10.0 migration/vmstate.c, {@code vmstate_save_state_v} and migration/savevm.c,
 * {@code vmstate_save}.
 *
 * @param configuration the configuration section's layout; streams before 10.0 have none
 * @param pageSizeBytes guest page size, 0 if not given
 * @param devices one entry per device section, in stream order, those of the setup phase first
 */
public record VmDescription(Optional<Layout> configuration, long pageSizeBytes, List<Device> devices) {
    /** Copies the list. */
    public VmDescription {
        devices = List.copyOf(devices);
    }

    /**
     * One device section.
     *
     * @param layout its body; a section without a description has one field of type {@code buffer} and no name
     * @param json the device's object as it stands in the text, for whoever sends the section on
     */
    public record Device(String name, int instanceId, Layout layout, String json) {}

    /** A description instance: its fields, then its subsections, each with a header on the wire. */
    public record Layout(String name, int version, List<Field> fields, List<Layout> subsections) {
        /** Copies the lists. */
        public Layout {
            fields = List.copyOf(fields);
            subsections = List.copyOf(subsections);
        }
    }

    /**
     * A field, or consecutive elements of identical layout.
     *
     * @param arrayLength number of elements that this entry stands for
     * @param sizeBytes bytes of one element, -1 if not given
     * @param struct the element's layout if it is a struct
     * @param nested the layouts that an element encoder ran by itself: one for a {@code tmp}, one per element for lists
     *     and trees. They don't take part in the measuring.
     */
    public record Field(
            String name, int arrayLength, String type, long sizeBytes, Optional<Layout> struct, List<Layout> nested) {
        /** Copies the list. */
        public Field {
            nested = List.copyOf(nested);
        }
    }

    /**
     * Reads the text of a description. Unknown keys are skipped, repeated ones are kept where lists and trees repeat
     * them.
     *
     * @throws VmDescriptionException if it isn't JSON, lacks a key that measuring needs or nests too deeply
     */
    public static VmDescription parse(String json) throws VmDescriptionException {
        return new VmDescriptionParser(json).parse();
    }

    /** The entry of a section, if it is described. */
    public Optional<Device> device(String name, int instanceId) {
        return devices.stream()
                .filter(d -> d.name().equals(name) && d.instanceId() == instanceId)
                .findFirst();
    }

    /**
     * Length of the section body that starts at {@code bytes[start]}.
     *
     * @throws VmDescriptionException if the bytes don't fit: they end early, a subsection's header differs, or a
     *     struct's fields don't add up to its size
     */
    public static int bodyLength(Device device, byte[] bytes, int start) throws VmDescriptionException {
        return new DescribedBody(device, bytes, start).length();
    }
}
