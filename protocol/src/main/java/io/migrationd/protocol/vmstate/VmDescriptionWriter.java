package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.WireWriter;
import java.util.List;
import java.util.Optional;

/**
 * Writes trailing descriptions: one object per device section while it is saved, and the document around them. The form
 * is that of QEMU 10.0 (migration/savevm.c, {@code vmstate_save}), byte for byte.
 */
public final class VmDescriptionWriter {
    private VmDescriptionWriter() {}

    /** A section's body and its object in the description. */
    public record Saved(byte[] body, String json) {}

    /**
     * Saves a section's body and describes it.
     *
     * @throws VmStateException as {@link VmStateCodec#save}
     */
    public static <T> Saved save(String name, int instanceId, VmStateDescription<T> description, T state)
            throws VmStateException {
        WireWriter out = new WireWriter();
        JsonText json = beginDevice(name, instanceId);
        VmStateCodec.save(description, state, description.version(), new VmStateWriter(out, json));
        json.endObject();
        return new Saved(out.toByteArray(), json.toString());
    }

    /** The object of a section that has no description: one buffer. */
    public static String opaque(String name, int instanceId, int bodyBytes) {
        JsonText json = beginDevice(name, instanceId);
        json.put("size", bodyBytes);
        json.beginArray("fields");
        json.beginObject();
        json.put("name", "data");
        json.put("size", bodyBytes);
        json.put("type", "buffer");
        json.endObject();
        json.endArray();
        json.endObject();
        return json.toString();
    }

    private static JsonText beginDevice(String name, int instanceId) {
        JsonText json = new JsonText();
        json.beginObject();
        json.put("name", name);
        json.put("instance_id", Integer.toUnsignedLong(instanceId));
        return json;
    }

    /**
     * The whole text.
     *
     * @param configuration the configuration section's object ({@link ConfigurationDescription}), which sources before
     *     10.0 leave out
     * @param devices one object per device section, in stream order
     */
    public static String document(Optional<String> configuration, int pageSizeBytes, List<String> devices) {
        JsonText json = new JsonText();
        json.beginObject();
        configuration.ifPresent(c -> json.putJson("configuration", c));
        json.put("page_size", pageSizeBytes);
        json.beginArray("devices");
        devices.forEach(json::item);
        json.endArray();
        json.endObject();
        return json.toString();
    }
}
