package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.VmStateField.Markers;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.Optional;

/**
 * Walks a description to write or to read an instance: fields, then subsections. Nothing on the wire says what is
 * there; both ends hold the description. Wire source: QEMU 10.0 migration/vmstate.c, {@code vmstate_save_state_v} and
 * {@code vmstate_load_state}.
 */
public final class VmStateCodec {
    /** Stands for a NULL element of an array of pointers. */
    static final int NULL_MARKER = 0x30;
    /** Stands before an element that the destination has to allocate. */
    static final int ELEMENT_MARKER = 0x31;

    private VmStateCodec() {}

    /**
     * Writes the body of a section or a nested instance in the description's own version.
     *
     * @throws VmStateException if a hook refuses or the state doesn't fit its description
     */
    public static <T> void save(VmStateDescription<T> description, T state, WireWriter out) throws VmStateException {
        save(description, state, description.version(), new VmStateWriter(out, JsonText.none()));
    }

    /**
     * Reads the body of a section whose header announced {@code version}.
     *
     * @throws ProtocolException if the bytes don't fit the description, or a hook refuses the result
     */
    public static <T> void load(VmStateDescription<T> description, T state, StreamReader in, int version)
            throws IOException {
        load(description, state, in, version, VmStateLimits.DEFAULT);
    }

    /** As the other {@code load}, with limits of its own. */
    public static <T> void load(
            VmStateDescription<T> description, T state, StreamReader in, int version, VmStateLimits limits)
            throws IOException {
        load(description, state, version, VmStateReader.loading(in, limits));
    }

    static <T> void save(VmStateDescription<T> description, T state, int version, VmStateWriter to)
            throws VmStateException {
        description.preSave(state);
        try {
            saveParts(description, state, version, to);
        } catch (VmStateException e) {
            try {
                description.postSave(state);
            } catch (VmStateException after) {
                e.addSuppressed(after);
            }
            throw e;
        }
        description.postSave(state);
    }

    private static <T> void saveParts(VmStateDescription<T> description, T state, int version, VmStateWriter to)
            throws VmStateException {
        to.json().put("vmsd_name", description.name());
        to.json().put("version", version);
        to.json().beginArray("fields");
        for (VmStateField<T> field : description.fields()) {
            if (field.exists(state, version)) {
                saveField(description, field, state, to);
            }
        }
        to.json().endArray();
        saveSubsections(description, state, to);
    }

    private static <T> void saveField(
            VmStateDescription<T> description, VmStateField<T> field, T state, VmStateWriter to)
            throws VmStateException {
        if (field.element().isValidation()) {
            field.element().save(state, 0, to);
            return;
        }
        int count = field.count().saved(state, description.name() + "." + field.name());
        String name = description.describedName(field);
        int runStart = 0;
        int runEnd = 0;
        for (int i = 0; i < count; i++) {
            boolean isNull = field.isNull(state, i);
            if (i == runEnd) {
                runStart = i;
                runEnd = endOfRun(field, state, i, count);
            }
            boolean uniform = isNull ? field.markers() == Markers.FOR_NULL : field.isUniform();
            boolean described = !uniform || i == runStart;
            if (!described) {
                to.json().mute();
            }
            ElementPlace place = new ElementPlace(name, i, uniform ? runEnd - runStart : 1, !uniform && i + 1 < count);
            saveElement(field, state, place, to);
            if (!described) {
                to.json().unmute();
            }
        }
    }

    /** NULL and other elements are described apart. */
    private static <T> int endOfRun(VmStateField<T> field, T state, int start, int count) {
        boolean isNull = field.isNull(state, start);
        int end = start + 1;
        while (end < count && field.isNull(state, end) == isNull) {
            end++;
        }
        return end;
    }

    /**
     * How an element is shown: streams of 10.0 give an index to every element but the last of an uncompressed array.
     */
    private record ElementPlace(String name, int index, int arrayLength, boolean showsIndex) {}

    private static <T> void saveElement(VmStateField<T> field, T state, ElementPlace place, VmStateWriter to)
            throws VmStateException {
        boolean isNull = field.isNull(state, place.index());
        if (isNull || field.markers() == Markers.ALWAYS) {
            beginElement(place, field.markers() == Markers.ALWAYS ? "ptr-marker" : "nullptr", to.json());
            to.out().writeU8(isNull ? NULL_MARKER : ELEMENT_MARKER);
            endElement(1, to.json());
        }
        if (isNull) {
            return;
        }
        Element<T> element = field.element();
        beginElement(place, element.typeName(), to.json());
        int before = to.out().size();
        if (element.isStruct()) {
            to.json().beginObject("struct");
        }
        element.save(state, place.index(), to);
        if (element.isStruct()) {
            to.json().endObject();
        }
        endElement(to.out().size() - before, to.json());
    }

    private static void beginElement(ElementPlace place, String type, JsonText json) {
        json.beginObject();
        json.put("name", place.name());
        if (place.arrayLength() > 1) {
            json.put("array_len", place.arrayLength());
        } else if (place.showsIndex()) {
            json.put("index", place.index());
        }
        json.put("type", type);
    }

    private static void endElement(int sizeBytes, JsonText json) {
        json.put("size", sizeBytes);
        json.endObject();
    }

    private static <T> void saveSubsections(VmStateDescription<T> description, T state, VmStateWriter to)
            throws VmStateException {
        boolean any = false;
        for (VmStateDescription<T> subsection : description.subsections()) {
            if (!subsection.isNeeded(state)) {
                continue;
            }
            if (!any) {
                to.json().beginArray("subsections");
                any = true;
            }
            to.json().beginObject();
            to.out().writeU8(Elements.SUBSECTION).writeName(subsection.name()).writeInt(subsection.version());
            save(subsection, state, subsection.version(), to);
            to.json().endObject();
        }
        if (any) {
            to.json().endArray();
        }
    }

    static <T> void load(VmStateDescription<T> description, T state, int version, VmStateReader in) throws IOException {
        long start = in.offset();
        requireVersion(description, version, in, start);
        runHook(description, "pre-load", start, () -> description.preLoad(state));
        for (VmStateField<T> field : description.fields()) {
            if (field.exists(state, version)) {
                loadField(description.name() + "." + field.name(), field, state, in);
            }
        }
        loadSubsections(description, state, in);
        runHook(description, "post-load", start, () -> description.postLoad(state, version));
    }

    private static void requireVersion(VmStateDescription<?> description, int version, VmStateReader in, long at)
            throws ProtocolException {
        if (version < description.minimumVersion() || version > description.version()) {
            in.enter(description.name() + ".version");
            throw in.rejection(
                    at, "version %d to %d".formatted(description.minimumVersion(), description.version()), version);
        }
    }

    private static <T> void loadField(String path, VmStateField<T> field, T state, VmStateReader in)
            throws IOException {
        in.enter(path);
        if (field.element().isValidation()) {
            field.element().load(state, 0, field.version(), in);
            return;
        }
        int count = field.count().loaded(state, in);
        for (int i = 0; i < count; i++) {
            in.enter(path);
            in.countElement();
            if (!isNullElement(field, state, i, in)) {
                field.element().load(state, i, field.version(), in);
            }
        }
    }

    private static <T> boolean isNullElement(VmStateField<T> field, T state, int index, VmStateReader in)
            throws IOException {
        if (field.markers() == Markers.NONE || (field.markers() == Markers.FOR_NULL && !field.isNull(state, index))) {
            return false;
        }
        long at = in.offset();
        int marker = in.readU8();
        if (marker == NULL_MARKER) {
            field.clear(state, index);
            return true;
        }
        if (marker == ELEMENT_MARKER && field.markers() == Markers.ALWAYS) {
            return false;
        }
        String expected = field.markers() == Markers.ALWAYS ? "marker 0x30 or 0x31" : "marker 0x30";
        throw in.rejection(at, expected, "0x%02x".formatted(marker));
    }

    private static <T> void loadSubsections(VmStateDescription<T> description, T state, VmStateReader in)
            throws IOException {
        while (true) {
            Optional<String> name = in.peekSubsection(description.name());
            if (name.isEmpty()) {
                return;
            }
            in.enter(description.name() + ".subsection");
            long at = in.offset();
            VmStateDescription<T> subsection = description.subsections().stream()
                    .filter(s -> s.name().equals(name.get()))
                    .findFirst()
                    .orElseThrow(
                            () -> in.rejection(at, "a subsection that " + description.name() + " has", name.get()));
            in.readU8();
            in.readName();
            // QEMU keeps the low 8 bits; no description has a version above 255, so all 32 are compared here.
            load(subsection, state, in.readInt(), in);
        }
    }

    private interface HookCall {
        void run() throws VmStateException;
    }

    private static void runHook(VmStateDescription<?> description, String name, long start, HookCall hook)
            throws ProtocolException {
        try {
            hook.run();
        } catch (VmStateException e) {
            throw new ProtocolException(
                    description.name(), start, "a state that the " + name + " hook accepts", "a refusal", e);
        }
    }
}
