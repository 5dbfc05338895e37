package io.migrationd.migrationd.guest.process;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.protocol.wire.ProtocolException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The members of one JSON object of a peer: each is taken once and checked, and none may be left. */
final class JsonMembers {
    private static final int SHOWN_CHARS = 80;

    private final JsonNode object;
    private final String path;
    private final long offset;
    private final Set<String> taken = new HashSet<>();

    private JsonMembers(JsonNode object, String path, long offset) {
        this.object = object;
        this.path = path;
        this.offset = offset;
    }

    /** {@code offset} is where the message begins in the connection. */
    static JsonMembers of(@Nullable JsonNode node, String path, long offset) throws ProtocolException {
        if (node == null || !node.isObject()) {
            throw new ProtocolException(path, offset, "an object", shown(node));
        }
        return new JsonMembers(node, path, offset);
    }

    boolean has(String name) {
        return object.has(name);
    }

    String text(String name, int minLength, int maxLength) throws ProtocolException {
        JsonNode node = take(name);
        if (node == null
                || !node.isTextual()
                || node.textValue().length() < minLength
                || node.textValue().length() > maxLength) {
            throw failure(name, "a string of %d to %d characters".formatted(minLength, maxLength), shown(node));
        }
        return node.textValue();
    }

    Optional<String> optionalText(String name, int minLength, int maxLength) throws ProtocolException {
        return has(name) ? Optional.of(text(name, minLength, maxLength)) : Optional.empty();
    }

    long number(String name, long min, long max) throws ProtocolException {
        JsonNode node = take(name);
        if (node == null
                || !node.isIntegralNumber()
                || !node.canConvertToLong()
                || node.longValue() < min
                || node.longValue() > max) {
            throw failure(name, "an integer from %d to %d".formatted(min, max), shown(node));
        }
        return node.longValue();
    }

    /** At least {@code unit}, at most {@code max}, and a multiple of {@code unit}. */
    long multiple(String name, long unit, long max) throws ProtocolException {
        return multiple(name, unit, unit, max);
    }

    long multiple(String name, long unit, long min, long max) throws ProtocolException {
        long value = number(name, min, max);
        if (value % unit != 0) {
            throw failure(name, "a multiple of " + unit, value);
        }
        return value;
    }

    int powerOfTwo(String name, int min, int max) throws ProtocolException {
        int value = (int) number(name, min, max);
        if (Integer.bitCount(value) != 1) {
            throw failure(name, "a power of two", value);
        }
        return value;
    }

    boolean flag(String name) throws ProtocolException {
        JsonNode node = take(name);
        if (node == null || !node.isBoolean()) {
            throw failure(name, "true or false", shown(node));
        }
        return node.booleanValue();
    }

    <T extends Enum<T>> T word(String name, Class<T> words) throws ProtocolException {
        String text = text(name, 1, SHOWN_CHARS);
        List<String> allowed = new ArrayList<>();
        for (T word : words.getEnumConstants()) {
            String jsonName = word.name().toLowerCase(java.util.Locale.ROOT);
            if (jsonName.equals(text)) {
                return word;
            }
            allowed.add(jsonName);
        }
        throw failure(name, "one of " + allowed, text);
    }

    JsonNode object(String name) throws ProtocolException {
        JsonNode node = take(name);
        if (node == null || !node.isObject()) {
            throw failure(name, "an object", shown(node));
        }
        return node;
    }

    List<JsonNode> array(String name, int minLength, int maxLength) throws ProtocolException {
        JsonNode node = take(name);
        if (node == null || !node.isArray() || node.size() < minLength || node.size() > maxLength) {
            Object actual = node != null && node.isArray() ? node.size() + " entries" : shown(node);
            throw failure(name, "an array of %d to %d entries".formatted(minLength, maxLength), actual);
        }
        List<JsonNode> elements = new ArrayList<>(node.size());
        node.forEach(elements::add);
        return elements;
    }

    /** Refuses members that nobody took. */
    void end() throws ProtocolException {
        for (String name : (Iterable<String>) object::fieldNames) {
            if (!taken.contains(name)) {
                throw failure(name, "no such member", shown(object.get(name)));
            }
        }
    }

    ProtocolException failure(String name, String expected, Object actual) {
        return new ProtocolException(path + "." + name, offset, expected, actual);
    }

    private @Nullable JsonNode take(String name) {
        taken.add(name);
        return object.get(name);
    }

    /** A value for a message: whole if it is short. */
    private static String shown(@Nullable JsonNode node) {
        if (node == null) {
            return "nothing";
        }
        String text = node.toString();
        return text.length() <= SHOWN_CHARS ? text : text.substring(0, SHOWN_CHARS) + "...";
    }
}
