package io.migrationd.migrationd.control;

import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.StreamWriteConstraints;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import com.fasterxml.jackson.core.json.JsonWriteFeature;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectWriter;
import com.fasterxml.jackson.databind.cfg.JsonNodeFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** JSON as the control sockets write and read it: one line in pure ASCII out, single quotes accepted in. */
final class Json {
    /** As deep as QEMU reads: qobject/json-streamer.c, MAX_NESTING. */
    static final int MAX_NESTING = 1024;

    private static final byte[] END_OF_LINE = {'\r', '\n'};

    private static final ObjectMapper MAPPER = new ObjectMapper(JsonFactory.builder()
                    .enable(JsonReadFeature.ALLOW_SINGLE_QUOTES)
                    .enable(JsonWriteFeature.ESCAPE_NON_ASCII)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(MAX_NESTING)
                            .build())
                    // An id goes back as deep as it came.
                    .streamWriteConstraints(StreamWriteConstraints.builder()
                            .maxNestingDepth(MAX_NESTING)
                            .build())
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            // An id comes back as it was sent: 1e400 is not infinity.
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .configure(JsonNodeFeature.STRIP_TRAILING_BIGDECIMAL_ZEROES, false);

    private static final ObjectWriter WRITER = MAPPER.writer(new DefaultPrettyPrinter(Separators.createDefaultInstance()
                    .withRootSeparator(null)
                    .withObjectFieldValueSpacing(Separators.Spacing.AFTER)
                    .withObjectEntrySpacing(Separators.Spacing.AFTER)
                    .withArrayValueSpacing(Separators.Spacing.AFTER)
                    .withObjectEmptySeparator("")
                    .withArrayEmptySeparator(""))
            .withObjectIndenter(DefaultPrettyPrinter.NopIndenter.instance)
            .withArrayIndenter(DefaultPrettyPrinter.NopIndenter.instance));

    private Json() {}

    /** The text is not JSON. The message is QMP's. */
    static final class JsonSyntaxException extends Exception {
        JsonSyntaxException(String reason) {
            super("JSON parse error, " + reason);
        }
    }

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    static ArrayNode array() {
        return MAPPER.createArrayNode();
    }

    /** Strings, numbers, booleans, lists and maps of these. */
    static ObjectNode ofMap(Map<String, ?> plain) {
        ObjectNode object = object();
        plain.forEach((key, value) -> object.set(key, MAPPER.valueToTree(value)));
        return object;
    }

    /** Exactly one value. */
    static JsonNode parse(byte[] utf8) throws JsonSyntaxException {
        try {
            // Decoded here: Jackson would guess UTF-16 or UTF-32 from the first bytes.
            String text = StandardCharsets.UTF_8
                    .newDecoder()
                    .onMalformedInput(CodingErrorAction.REPORT)
                    .decode(ByteBuffer.wrap(utf8))
                    .toString();
            return MAPPER.readTree(text);
        } catch (CharacterCodingException e) {
            throw new JsonSyntaxException("invalid UTF-8");
        } catch (JsonProcessingException e) {
            throw new JsonSyntaxException(reason(e));
        }
    }

    private static String reason(JacksonException e) {
        var location = e.getLocation();
        String where = location == null ? "" : " at column " + location.getColumnNr();
        String text = e.getOriginalMessage();
        // Jackson quotes the input at length; its first sentence says what is wrong.
        int end = Math.min(text.length(), 120);
        int line = text.indexOf('\n');
        return text.substring(0, line >= 0 ? Math.min(line, end) : end) + where;
    }

    /** One line with its CR LF. */
    static byte[] line(JsonNode value) {
        try {
            byte[] text = WRITER.writeValueAsBytes(value);
            byte[] line = new byte[text.length + END_OF_LINE.length];
            System.arraycopy(text, 0, line, 0, text.length);
            System.arraycopy(END_OF_LINE, 0, line, text.length, END_OF_LINE.length);
            return line;
        } catch (JsonProcessingException e) {
            throw new AssertionError("a tree cannot be written", e);
        }
    }
}
