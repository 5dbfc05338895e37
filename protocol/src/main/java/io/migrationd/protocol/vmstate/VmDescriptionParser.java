package io.migrationd.protocol.vmstate;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescription.Field;
import io.migrationd.protocol.vmstate.VmDescription.Layout;
import io.migrationd.protocol.wire.Names;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Reads the text of a trailing description. The text comes from the peer: depth and every number are bounded. */
final class VmDescriptionParser {
    private static final JsonFactory JSON = new JsonFactory();
    private static final int MAX_DEPTH = 64;

    private final String text;
    private int depth;

    VmDescriptionParser(String text) {
        this.text = text;
    }

    VmDescription parse() throws VmDescriptionException {
        try (JsonParser json = JSON.createParser(text)) {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw new VmDescriptionException("description", "not an object");
            }
            return document(json);
        } catch (IOException e) {
            throw new VmDescriptionException("description", "not JSON", e);
        }
    }

    private VmDescription document(JsonParser json) throws IOException, VmDescriptionException {
        Optional<Layout> configuration = Optional.empty();
        long pageSize = 0;
        List<Device> devices = new ArrayList<>();
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            json.nextToken();
            switch (key) {
                case "configuration" -> {
                    LayoutBuilder layout = new LayoutBuilder();
                    object(json, "configuration", layout);
                    configuration = Optional.of(layout.build("configuration"));
                }
                case "page_size" -> pageSize = number(json, key, Long.MAX_VALUE);
                case "devices" -> devices(json, devices);
                default -> json.skipChildren();
            }
        }
        return new VmDescription(configuration, pageSize, devices);
    }

    private void devices(JsonParser json, List<Device> devices) throws IOException, VmDescriptionException {
        requireStart(json, JsonToken.START_ARRAY, "devices");
        while (json.nextToken() != JsonToken.END_ARRAY) {
            int start = (int) json.currentTokenLocation().getCharOffset();
            DeviceBuilder device = new DeviceBuilder();
            object(json, "devices[" + devices.size() + "]", device);
            int end = (int) json.currentLocation().getCharOffset();
            devices.add(device.build("devices[" + devices.size() + "]", text.substring(start, end)));
        }
    }

    private void object(JsonParser json, String path, LayoutBuilder into) throws IOException, VmDescriptionException {
        requireStart(json, JsonToken.START_OBJECT, path);
        if (++depth > MAX_DEPTH) {
            throw new VmDescriptionException(path, "nested more than " + MAX_DEPTH + " levels deep");
        }
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            json.nextToken();
            if (!into.accept(json, path, key)) {
                json.skipChildren();
            }
        }
        depth--;
    }

    private List<Field> fields(JsonParser json, String path) throws IOException, VmDescriptionException {
        requireStart(json, JsonToken.START_ARRAY, path + ".fields");
        List<Field> fields = new ArrayList<>();
        while (json.nextToken() != JsonToken.END_ARRAY) {
            FieldBuilder field = new FieldBuilder();
            String at = path + ".fields[" + fields.size() + "]";
            object(json, at, field);
            fields.add(field.buildField(at));
        }
        return fields;
    }

    private List<Layout> subsections(JsonParser json, String path) throws IOException, VmDescriptionException {
        requireStart(json, JsonToken.START_ARRAY, path + ".subsections");
        List<Layout> subsections = new ArrayList<>();
        while (json.nextToken() != JsonToken.END_ARRAY) {
            LayoutBuilder subsection = new LayoutBuilder();
            String at = path + ".subsections[" + subsections.size() + "]";
            object(json, at, subsection);
            Layout layout = subsection.build(at);
            if (layout.name().isEmpty() || layout.name().length() > Names.MAX_LENGTH) {
                throw new VmDescriptionException(at, "vmsd_name is not a name of 1 to 255 bytes");
            }
            subsections.add(layout);
        }
        return subsections;
    }

    private static void requireStart(JsonParser json, JsonToken start, String path) throws VmDescriptionException {
        if (json.currentToken() != start) {
            throw new VmDescriptionException(path, "not an " + (start == JsonToken.START_ARRAY ? "array" : "object"));
        }
    }

    private static String string(JsonParser json, String path) throws IOException, VmDescriptionException {
        if (json.currentToken() != JsonToken.VALUE_STRING) {
            throw new VmDescriptionException(path, "not a string");
        }
        String value = json.getText();
        if (value.chars().anyMatch(c -> c > 0xFF)) {
            throw new VmDescriptionException(path, "not 8-bit text");
        }
        return value;
    }

    private static long number(JsonParser json, String path, long max) throws IOException, VmDescriptionException {
        if (json.currentToken() != JsonToken.VALUE_NUMBER_INT) {
            throw new VmDescriptionException(path, "not an integer");
        }
        String digits = json.getText();
        long value = digits.length() > 18 ? -1 : json.getLongValue();
        if (value < 0 || value > max) {
            throw new VmDescriptionException(path, digits + " is not in 0 to " + max);
        }
        return value;
    }

    /** The keys of a description object. Lists and trees repeat them, once per element. */
    private class LayoutBuilder {
        private final List<Layout> earlier = new ArrayList<>();
        private @Nullable String vmsdName;
        private int version;
        private List<Field> fields = List.of();
        private List<Layout> subsections = List.of();

        /** False if the key is not known: its value is still to be skipped. */
        boolean accept(JsonParser json, String path, String key) throws IOException, VmDescriptionException {
            switch (key) {
                case "vmsd_name" -> {
                    keepEarlier(path);
                    vmsdName = string(json, path + ".vmsd_name");
                }
                case "version" -> version = (int) number(json, path + ".version", Integer.MAX_VALUE);
                case "fields" -> fields = VmDescriptionParser.this.fields(json, path);
                case "subsections" -> subsections = VmDescriptionParser.this.subsections(json, path);
                default -> {
                    return false;
                }
            }
            return true;
        }

        private void keepEarlier(String path) throws VmDescriptionException {
            if (vmsdName != null) {
                earlier.add(build(path));
                version = 0;
                fields = List.of();
                subsections = List.of();
            }
        }

        Layout build(String path) throws VmDescriptionException {
            if (vmsdName == null) {
                throw new VmDescriptionException(path, "no vmsd_name");
            }
            return new Layout(vmsdName, version, fields, subsections);
        }

        List<Layout> all(String path) throws VmDescriptionException {
            List<Layout> all = new ArrayList<>(earlier);
            if (vmsdName != null) {
                all.add(build(path));
            }
            return all;
        }

        boolean isNamed() {
            return vmsdName != null;
        }

        Layout buildUnnamed() {
            return new Layout("", 0, fields, subsections);
        }
    }

    private final class DeviceBuilder extends LayoutBuilder {
        private @Nullable String name;
        private int instanceId;

        @Override
        boolean accept(JsonParser json, String path, String key) throws IOException, VmDescriptionException {
            switch (key) {
                case "name" -> name = string(json, path + ".name");
                case "instance_id" -> instanceId = (int) number(json, path + ".instance_id", 0xFFFF_FFFFL);
                default -> {
                    return super.accept(json, path, key);
                }
            }
            return true;
        }

        Device build(String path, String json) throws VmDescriptionException {
            if (name == null) {
                throw new VmDescriptionException(path, "no name");
            }
            return new Device(name, instanceId, isNamed() ? build(path) : buildUnnamed(), json);
        }
    }

    private final class FieldBuilder extends LayoutBuilder {
        private @Nullable String name;
        private @Nullable String type;
        private int arrayLength = 1;
        private long size = -1;
        private Optional<Layout> struct = Optional.empty();

        @Override
        boolean accept(JsonParser json, String path, String key) throws IOException, VmDescriptionException {
            switch (key) {
                case "name" -> name = string(json, path + ".name");
                case "type" -> type = string(json, path + ".type");
                case "array_len" -> arrayLength = (int) number(json, path + ".array_len", Integer.MAX_VALUE);
                case "size" -> size = number(json, path + ".size", Integer.MAX_VALUE);
                case "struct" -> {
                    LayoutBuilder layout = new LayoutBuilder();
                    object(json, path + ".struct", layout);
                    struct = Optional.of(layout.build(path + ".struct"));
                }
                default -> {
                    return super.accept(json, path, key);
                }
            }
            return true;
        }

        Field buildField(String path) throws VmDescriptionException {
            if (name == null || type == null) {
                throw new VmDescriptionException(path, "no name or no type");
            }
            if (size < 0 && struct.isEmpty()) {
                throw new VmDescriptionException(path, "field " + name + " has no size");
            }
            return new Field(name, arrayLength, type, size, struct, all(path));
        }
    }
}
