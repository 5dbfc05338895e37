package io.migrationd.migrationd.guest.qemu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** Reads one JSON object of a peer: each member has its type and its bound, and none is left over. */
final class StrictObject {
    static final int MAX_TEXT = 512;
    static final int MAX_ELEMENTS = 2048;

    private final String path;
    private final ObjectNode object;
    private final Set<String> read = new HashSet<>();

    StrictObject(String path, @Nullable JsonNode node) throws FactsException {
        this.path = path;
        if (!(node instanceof ObjectNode value)) {
            throw new FactsException(path, "an object");
        }
        this.object = value;
    }

    /** Reads an element of an array. */
    interface Element<T> {
        T read(StrictObject element) throws FactsException;
    }

    String text(String name) throws FactsException {
        return text(name(name), node(name));
    }

    Optional<String> optionalText(String name) throws FactsException {
        return object.has(name) ? Optional.of(text(name)) : Optional.empty();
    }

    Optional<UUID> optionalUuid(String name) throws FactsException {
        Optional<String> text = optionalText(name);
        try {
            return text.map(UUID::fromString);
        } catch (IllegalArgumentException e) {
            throw new FactsException(name(name), "a uuid");
        }
    }

    long number(String name, long lowest, long highest) throws FactsException {
        JsonNode value = node(name);
        if (!value.isIntegralNumber()
                || !value.canConvertToLong()
                || value.longValue() < lowest
                || value.longValue() > highest) {
            throw new FactsException(name(name), "a number from %d to %d".formatted(lowest, highest));
        }
        return value.longValue();
    }

    boolean flag(String name) throws FactsException {
        JsonNode value = node(name);
        if (!value.isBoolean()) {
            throw new FactsException(name(name), "true or false");
        }
        return value.booleanValue();
    }

    StrictObject object(String name) throws FactsException {
        return new StrictObject(name(name), node(name));
    }

    Optional<StrictObject> optionalObject(String name) throws FactsException {
        return object.has(name) ? Optional.of(object(name)) : Optional.empty();
    }

    List<String> texts(String name) throws FactsException {
        List<String> texts = new ArrayList<>();
        for (JsonNode element : array(name)) {
            texts.add(text(name(name), element));
        }
        return List.copyOf(texts);
    }

    SortedSet<String> names(String name) throws FactsException {
        return new TreeSet<>(texts(name));
    }

    <T> List<T> objects(String name, Element<T> reader) throws FactsException {
        List<T> elements = new ArrayList<>();
        for (JsonNode node : array(name)) {
            StrictObject element = new StrictObject(name(name), node);
            elements.add(reader.read(element));
            element.end();
        }
        return List.copyOf(elements);
    }

    /** Nothing else may be there. */
    void end() throws FactsException {
        for (var names = object.fieldNames(); names.hasNext(); ) {
            if (!read.contains(names.next())) {
                throw new FactsException(path, "only " + new TreeSet<>(read));
            }
        }
    }

    private JsonNode array(String name) throws FactsException {
        JsonNode value = node(name);
        if (!value.isArray() || value.size() > MAX_ELEMENTS) {
            throw new FactsException(name(name), "an array of at most %d elements".formatted(MAX_ELEMENTS));
        }
        return value;
    }

    private static String text(String name, JsonNode value) throws FactsException {
        if (!value.isTextual() || value.textValue().length() > MAX_TEXT) {
            throw new FactsException(name, "a string of at most %d characters".formatted(MAX_TEXT));
        }
        return value.textValue();
    }

    private JsonNode node(String name) throws FactsException {
        read.add(name);
        JsonNode value = object.get(name);
        if (value == null) {
            throw new FactsException(name(name), "to be there");
        }
        return value;
    }

    private String name(String name) {
        return path + "." + name;
    }
}
