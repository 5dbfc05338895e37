package io.migrationd.protocol.vmstate;

import java.util.Iterator;
import java.util.List;
import java.util.Map;

/**
 * A static list of descriptions, for comparing what two versions of a VMM can exchange. The form is that of QEMU's
 * {@code -dump-vmstate} (10.0 migration/savevm.c, {@code dump_vmstate_json_to_file}); {@code size} is the encoded size
 * where it is constant, since nothing here has a layout in memory, and 0 where it isn't.
 */
public final class VmStateDump {
    private final StringBuilder out = new StringBuilder();

    private VmStateDump() {}

    /** The text for {@code devices}, by device type, in the map's order. */
    public static String json(String machine, Map<String, VmStateDescription<?>> devices) {
        VmStateDump dump = new VmStateDump();
        dump.document(machine, devices);
        return dump.out.toString();
    }

    private void document(String machine, Map<String, VmStateDescription<?>> devices) {
        out.append("{\n");
        line(2, "\"vmschkmachine\": {");
        line(4, member("Name", machine));
        out.append("  }");
        for (Map.Entry<String, VmStateDescription<?>> device : devices.entrySet()) {
            out.append(",\n");
            line(2, JsonText.quote(device.getKey()) + ": {");
            line(4, member("Name", device.getKey()) + ",");
            line(4, "\"version_id\": " + device.getValue().version() + ",");
            line(4, "\"minimum_version_id\": " + device.getValue().minimumVersion() + ",");
            description("\"Description\": {", device.getValue(), 4);
            out.append("\n  }");
        }
        out.append("\n}\n");
    }

    private void description(String opening, VmStateDescription<?> description, int indent) {
        line(indent, opening);
        line(indent + 2, member("name", description.name()) + ",");
        line(indent + 2, "\"version_id\": " + description.version() + ",");
        out.repeat(' ', indent + 2).append("\"minimum_version_id\": ").append(description.minimumVersion());
        fields(description, indent + 2);
        subsections(description.subsections(), indent + 2);
        out.append('\n').repeat(' ', indent).append('}');
    }

    private void fields(VmStateDescription<?> description, int indent) {
        Iterator<? extends VmStateField<?>> fields = description.fields().stream()
                .filter(f -> !f.element().isValidation())
                .iterator();
        if (description.fields().isEmpty()) {
            return;
        }
        out.append(",\n");
        line(indent, "\"Fields\": [");
        while (fields.hasNext()) {
            field(fields.next(), indent + 2);
            out.append(fields.hasNext() ? ",\n" : "");
        }
        out.append('\n').repeat(' ', indent).append(']');
    }

    private void field(VmStateField<?> field, int indent) {
        line(indent, "{");
        line(indent + 2, member("field", field.name()) + ",");
        line(indent + 2, "\"version_id\": " + field.version() + ",");
        line(indent + 2, "\"field_exists\": " + field.hasPresenceTest() + ",");
        if (field.count() instanceof Count.Fixed<?>(int count) && count != 1) {
            line(indent + 2, "\"num\": " + count + ",");
        }
        out.repeat(' ', indent + 2).append("\"size\": ").append(field.element().nominalSizeBytes());
        field.element().nested().ifPresent(nested -> {
            out.append(",\n");
            description("\"Description\": {", nested, indent + 2);
        });
        out.append('\n').repeat(' ', indent).append('}');
    }

    private void subsections(List<? extends VmStateDescription<?>> subsections, int indent) {
        if (subsections.isEmpty()) {
            return;
        }
        out.append(",\n");
        line(indent, "\"Subsections\": [");
        for (int i = 0; i < subsections.size(); i++) {
            description("{", subsections.get(i), indent + 2);
            out.append(i + 1 < subsections.size() ? ",\n" : "");
        }
        out.append('\n').repeat(' ', indent).append(']');
    }

    private static String member(String key, String value) {
        return JsonText.quote(key) + ": " + JsonText.quote(value);
    }

    private void line(int indent, String text) {
        out.repeat(' ', indent).append(text).append('\n');
    }
}
