package io.migrationd.protocol.vmstate;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadFeature;
import io.migrationd.protocol.wire.Names;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Reads the device descriptions that a VMM passes along with its guest, so that the daemon finds the ends of its
 * sections:
 *
 * <pre>{@code
 * {"name": "uart", "instance-id": 0, "version": 2, "minimum-version": 1,
 *  "fields": [{"name": "level", "type": "uint8"},
 *             {"name": "fifo", "type": "uint8", "length-field": "level", "array-len": 16},
 *             {"name": "lcr", "type": "struct", "version": 2, "fields": [{"name": "bits", "type": "buffer", "size": 4}]}],
 *  "subsections": [{"name": "uart/timeout", "version": 1, "fields": [{"name": "expiry", "type": "timer"}]}]}
 * }</pre>
 *
 * <p>{@code type} is a name of {@link ScalarType}, or {@code buffer}, {@code unused_buffer} ({@code size} in bytes),
 * {@code bitmap} ({@code size} in bits) or {@code struct} ({@code fields}, {@code subsections}, and {@code vmsd-name}
 * where subsections need a parent's name other than the field's). {@code array-len} makes an array. With
 * {@code length-field}, an integer field before it, the number of elements, bytes or bits is that field's value and
 * {@code array-len} or {@code size} the most it may be. Everything else is an error.
 */
public final class DeviceDescriptionJson {
    private static final JsonFactory JSON = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .build();
    private static final int MAX_DEPTH = 16;
    private static final int MAX_ENTRIES = 4096;
    private static final int MAX_VERSION = 255;

    private static final Map<String, ScalarType> SCALARS =
            Arrays.stream(ScalarType.values()).collect(Collectors.toMap(ScalarType::typeName, Function.identity()));

    /** A described section. */
    public record Device(String name, int instanceId, VmStateDescription<DynamicState> description) {}

    private int depth;

    private DeviceDescriptionJson() {}

    /**
     * Reads one device.
     *
     * @throws IllegalArgumentException if the text isn't such a description; the message begins with the place
     */
    public static Device parse(String json) {
        try (JsonParser parser = JSON.createParser(json)) {
            parser.nextToken();
            Device device = new DeviceDescriptionJson().device(parser);
            if (parser.nextToken() != null) {
                throw new IllegalArgumentException("device: text after the object");
            }
            return device;
        } catch (IOException e) {
            throw new IllegalArgumentException("device: not JSON: " + e.getMessage(), e);
        }
    }

    private Device device(JsonParser json) throws IOException {
        Parts parts = parts("device", json, Set.of("name", "version", "fields"), Parts.DEVICE_KEYS);
        return new Device(parts.name, (int) parts.instanceId, parts.description("device", parts.name));
    }

    /** What an object of any kind may hold; the kinds differ in which keys they allow. */
    private static final class Parts {
        private static final Set<String> DEVICE_KEYS =
                Set.of("name", "instance-id", "version", "minimum-version", "fields", "subsections");
        private static final Set<String> SUBSECTION_KEYS =
                Set.of("name", "version", "minimum-version", "fields", "subsections");
        private static final Set<String> FIELD_KEYS = Set.of(
                "name", "type", "version", "size", "array-len", "length-field", "fields", "subsections", "vmsd-name");

        private final Set<String> present = new HashSet<>();
        private String name = "";
        private String type = "";
        private String lengthField = "";
        private String vmsdName = "";
        private long instanceId;
        private int version;
        private int minimumVersion;
        private int size;
        private int arrayLength;
        private List<VmStateField<DynamicState>> fields = List.of();
        private List<VmStateDescription<DynamicState>> subsections = List.of();

        private boolean has(String key) {
            return present.contains(key);
        }

        private VmStateDescription<DynamicState> description(String path, String descriptionName) {
            return build(path, VmStateDescription.named(descriptionName, version));
        }

        /** A subsection is saved again if it was loaded. */
        private VmStateDescription<DynamicState> subsection(String path) {
            return build(
                    path,
                    VmStateDescription.<DynamicState>named(name, version)
                            .needed(s -> s.has(name, 0))
                            .preLoad(s -> s.set(name, 1)));
        }

        private VmStateDescription<DynamicState> build(
                String path, VmStateDescription.Builder<DynamicState> description) {
            try {
                return description
                        .minimumVersion(has("minimum-version") ? minimumVersion : version)
                        .fields(fields)
                        .subsections(subsections)
                        .build();
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException(path + ": " + e.getMessage(), e);
            }
        }
    }

    private Parts parts(String path, JsonParser json, Set<String> required, Set<String> allowed) throws IOException {
        require(json.currentToken() == JsonToken.START_OBJECT, path, "not an object");
        require(++depth <= MAX_DEPTH, path, "nested more than " + MAX_DEPTH + " levels deep");
        Parts parts = new Parts();
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            require(allowed.contains(key), path, "unknown key '" + key + "'");
            json.nextToken();
            parts.present.add(key);
            read(path + "." + key, key, json, parts);
        }
        depth--;
        for (String key : required) {
            require(parts.has(key), path, "no " + key);
        }
        return parts;
    }

    private void read(String path, String key, JsonParser json, Parts parts) throws IOException {
        switch (key) {
            case "name" -> parts.name = text(path, json);
            case "type" -> parts.type = text(path, json);
            case "length-field" -> parts.lengthField = text(path, json);
            case "vmsd-name" -> parts.vmsdName = text(path, json);
            // The highest is reserved: "assign a number".
            case "instance-id" -> parts.instanceId = number(path, json, 0xFFFF_FFFEL);
            case "version" -> parts.version = (int) number(path, json, MAX_VERSION);
            case "minimum-version" -> parts.minimumVersion = (int) number(path, json, MAX_VERSION);
            case "size" -> parts.size = (int) number(path, json, VmStateLimits.DEFAULT.bodyBytes());
            case "array-len" -> parts.arrayLength = (int) number(path, json, VmStateLimits.DEFAULT.bodyBytes());
            case "fields" -> parts.fields = fields(path, json);
            case "subsections" -> parts.subsections = subsections(path, json);
            default -> throw new AssertionError(key);
        }
    }

    private List<VmStateField<DynamicState>> fields(String path, JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.START_ARRAY, path, "not an array");
        List<VmStateField<DynamicState>> fields = new ArrayList<>();
        Set<String> names = new HashSet<>();
        Set<String> counts = new HashSet<>();
        while (json.nextToken() != JsonToken.END_ARRAY) {
            String at = path + "[" + fields.size() + "]";
            require(fields.size() < MAX_ENTRIES, at, "more than " + MAX_ENTRIES + " fields");
            Parts parts = parts(at, json, Set.of("name", "type"), Parts.FIELD_KEYS);
            require(names.add(parts.name), at, "a second field '" + parts.name + "'");
            require(
                    !parts.has("length-field") || counts.contains(parts.lengthField),
                    at,
                    "length-field '" + parts.lengthField + "' is not an integer field before it");
            if (isInteger(parts)) {
                counts.add(parts.name);
            }
            fields.add(field(at, parts).since(parts.version));
        }
        return fields;
    }

    private static boolean isInteger(Parts parts) {
        return parts.type.matches("u?int(8|16|32)") && !parts.has("array-len");
    }

    private VmStateField<DynamicState> field(String path, Parts parts) {
        return switch (parts.type) {
            case "buffer" -> DynamicFields.buffer(parts.name, length(path, parts));
            case "unused_buffer" -> Fields.unused(parts.name, length(path, parts));
            case "bitmap" -> DynamicFields.bitmap(parts.name, length(path, parts));
            case "struct" -> struct(path, parts);
            default -> {
                ScalarType type = Optional.ofNullable(SCALARS.get(parts.type))
                        .orElseThrow(() -> problem(path, "unknown type '" + parts.type + "'"));
                yield DynamicFields.array(type, parts.name, count(path, parts));
            }
        };
    }

    private VmStateField<DynamicState> struct(String path, Parts parts) {
        require(parts.has("fields"), path, "a struct without fields");
        refuse(path, parts, "size");
        int fieldVersion = parts.version;
        // The version of a nested description is not on the wire, and the key means the field's own.
        parts.version = 0;
        VmStateDescription<DynamicState> nested =
                parts.description(path, parts.has("vmsd-name") ? parts.vmsdName : parts.name);
        parts.version = fieldVersion;
        return DynamicFields.structArray(parts.name, elements(path, parts), nested);
    }

    private static Count<DynamicState> length(String path, Parts parts) {
        require(parts.has("size"), path, "a " + parts.type + " without size");
        refuse(path, parts, "array-len", "fields", "subsections", "vmsd-name");
        return parts.has("length-field")
                ? DynamicFields.countOf(parts.lengthField, parts.size)
                : Count.fixed(parts.size);
    }

    private static Count<DynamicState> count(String path, Parts parts) {
        refuse(path, parts, "size", "fields", "subsections", "vmsd-name");
        return elements(path, parts);
    }

    private static Count<DynamicState> elements(String path, Parts parts) {
        require(
                parts.has("array-len") || !parts.has("length-field"),
                path,
                "length-field without array-len, which bounds it");
        if (parts.has("length-field")) {
            return DynamicFields.countOf(parts.lengthField, parts.arrayLength);
        }
        return Count.fixed(parts.has("array-len") ? parts.arrayLength : 1);
    }

    private static void refuse(String path, Parts parts, String... keys) {
        for (String key : keys) {
            require(!parts.has(key), path, "a " + parts.type + " has no " + key);
        }
    }

    private List<VmStateDescription<DynamicState>> subsections(String path, JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.START_ARRAY, path, "not an array");
        List<VmStateDescription<DynamicState>> subsections = new ArrayList<>();
        while (json.nextToken() != JsonToken.END_ARRAY) {
            String at = path + "[" + subsections.size() + "]";
            require(subsections.size() < MAX_ENTRIES, at, "more than " + MAX_ENTRIES + " subsections");
            Parts parts = parts(at, json, Set.of("name", "version", "fields"), Parts.SUBSECTION_KEYS);
            subsections.add(parts.subsection(at));
        }
        return subsections;
    }

    private static String text(String path, JsonParser json) throws IOException {
        require(json.currentToken() == JsonToken.VALUE_STRING, path, "not a string");
        try {
            return Names.fromWire(Names.toWire(json.getText()));
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException(path + ": " + e.getMessage(), e);
        }
    }

    private static long number(String path, JsonParser json, long max) throws IOException {
        require(json.currentToken() == JsonToken.VALUE_NUMBER_INT, path, "not an integer");
        String digits = json.getText();
        long value = digits.length() > 18 ? -1 : json.getLongValue();
        require(value >= 0 && value <= max, path, digits + " is not in 0 to " + max);
        return value;
    }

    private static void require(boolean condition, String path, String problem) {
        if (!condition) {
            throw problem(path, problem);
        }
    }

    private static IllegalArgumentException problem(String path, String problem) {
        return new IllegalArgumentException(path + ": " + problem);
    }
}
