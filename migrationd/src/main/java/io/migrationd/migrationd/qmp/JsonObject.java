package io.migrationd.migrationd.qmp;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * A JSON object as the peer sent it. A member that is absent, null or of another type reads as empty: what to make of
 * that is for the caller to say, who knows what the member is for.
 *
 * @param members in the order of the text
 */
public record JsonObject(Map<String, @Nullable Object> members) {
    /** An object without members. */
    public static final JsonObject EMPTY = new JsonObject(Map.of());

    /** A string. */
    public Optional<String> text(String name) {
        return members.get(name) instanceof String value ? Optional.of(value) : Optional.empty();
    }

    /** A number without a fraction. */
    public OptionalLong number(String name) {
        return members.get(name) instanceof Long value ? OptionalLong.of(value) : OptionalLong.empty();
    }

    /** Any number. */
    public OptionalDouble decimal(String name) {
        return members.get(name) instanceof Number value
                ? OptionalDouble.of(value.doubleValue())
                : OptionalDouble.empty();
    }

    /** An object. */
    public Optional<JsonObject> object(String name) {
        return members.get(name) instanceof Map<?, ?> value ? Optional.of(of(value)) : Optional.empty();
    }

    /** The elements of an array, empty if there is none. */
    public List<?> list(String name) {
        return members.get(name) instanceof List<?> value ? value : List.of();
    }

    /** The objects of an array. */
    public List<JsonObject> objects(String name) {
        return objectsOf(list(name));
    }

    /** The objects among the elements. */
    public static List<JsonObject> objectsOf(List<?> elements) {
        return elements.stream()
                .filter(Map.class::isInstance)
                .map(element -> of((Map<?, ?>) element))
                .toList();
    }

    /** The members of an object that {@link Json} has read. */
    @SuppressWarnings("unchecked") // Json is the only maker of these maps and JSON has no keys but strings.
    public static JsonObject of(Map<?, ?> members) {
        return new JsonObject((Map<String, @Nullable Object>) members);
    }
}
