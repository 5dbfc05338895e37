package io.migrationd.migrationd.qmp;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * JSON text to maps, lists, strings, longs, doubles, booleans and back. On Jackson's streaming core alone: its data
 * binding would double the time that {@code migrationctl} takes to start.
 */
public final class Json {
    private static final JsonFactory FACTORY =
            JsonFactory.builder().enable(JsonWriteFeature.ESCAPE_NON_ASCII).build();

    private Json() {}

    /** Exactly one JSON object. */
    public static JsonObject parseObject(String text) throws JsonParseException {
        try (JsonParser parser = FACTORY.createParser(text)) {
            if (parser.nextToken() != JsonToken.START_OBJECT) {
                throw new JsonParseException(parser, "expected a JSON object");
            }
            JsonObject object = new JsonObject(members(parser));
            if (parser.nextToken() != null) {
                throw new JsonParseException(parser, "expected nothing after the JSON object");
            }
            return object;
        } catch (JsonParseException e) {
            throw e;
        } catch (IOException e) {
            throw new JsonParseException(null, e.getMessage(), e);
        }
    }

    /** One line of ASCII, as QMP wants it. */
    public static String write(@Nullable Object value) {
        StringWriter text = new StringWriter();
        try (JsonGenerator generator = FACTORY.createGenerator(text)) {
            write(value, generator);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }

    private static Map<String, @Nullable Object> members(JsonParser parser) throws IOException {
        Map<String, @Nullable Object> members = new LinkedHashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            parser.nextToken();
            members.put(name, value(parser));
        }
        return members;
    }

    private static List<@Nullable Object> elements(JsonParser parser) throws IOException {
        List<@Nullable Object> elements = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            elements.add(value(parser));
        }
        return elements;
    }

    private static @Nullable Object value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> members(parser);
            case START_ARRAY -> elements(parser);
            case VALUE_STRING -> parser.getText();
            case VALUE_NUMBER_INT -> integer(parser);
            case VALUE_NUMBER_FLOAT -> parser.getDoubleValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            case null, default -> throw new JsonParseException(parser, "expected a JSON value");
        };
    }

    /** A count beyond 2^63 is still a number to show, if no longer an exact one. */
    private static Number integer(JsonParser parser) throws IOException {
        return parser.getNumberType() == JsonParser.NumberType.BIG_INTEGER
                ? (Number) parser.getDoubleValue()
                : (Number) parser.getLongValue();
    }

    private static void write(@Nullable Object value, JsonGenerator generator) throws IOException {
        switch (value) {
            case null -> generator.writeNull();
            case JsonObject object -> write(object.members(), generator);
            case Map<?, ?> object -> {
                generator.writeStartObject();
                for (Map.Entry<?, ?> member : object.entrySet()) {
                    generator.writeFieldName((String) member.getKey());
                    write(member.getValue(), generator);
                }
                generator.writeEndObject();
            }
            case Iterable<?> array -> {
                generator.writeStartArray();
                for (Object element : array) {
                    write(element, generator);
                }
                generator.writeEndArray();
            }
            case String text -> generator.writeString(text);
            case Boolean flag -> generator.writeBoolean(flag);
            case Double number -> generator.writeNumber(number);
            case Number number -> generator.writeNumber(number.longValue());
            default -> throw new IllegalArgumentException("not a JSON value: " + value.getClass());
        }
    }
}
