package io.migrationd.protocol.inspect;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.migrationd.protocol.inspect.InspectResult.Fault;
import java.io.IOException;
import java.io.StringWriter;
import java.util.Map;

/** Items and the result as one JSON object per line, for programs. */
public final class ItemJson {
    private static final JsonFactory FACTORY = new JsonFactory();

    private interface Members {
        void write(JsonGenerator json) throws IOException;
    }

    private ItemJson() {}

    /** {@code {"offset", "depth", "what", ...details}}. */
    public static String line(InspectItem item) throws IOException {
        return object(json -> {
            json.writeNumberField("offset", item.offset());
            json.writeNumberField("depth", item.depth());
            json.writeStringField("what", item.what());
            for (Map.Entry<String, Object> detail : item.details().entrySet()) {
                json.writeObjectField(detail.getKey(), detail.getValue());
            }
        });
    }

    /** {@code {"what": "result", "kind", "totals", "fault"}}, the last one only if there is one. */
    public static String line(InspectResult result) throws IOException {
        return object(json -> {
            json.writeStringField("what", "result");
            json.writeStringField("kind", result.kind());
            json.writeObjectFieldStart("totals");
            for (Map.Entry<String, Long> total : result.totals().entrySet()) {
                json.writeNumberField(total.getKey(), total.getValue());
            }
            json.writeEndObject();
            if (result.fault().isPresent()) {
                Fault fault = result.fault().get();
                json.writeObjectFieldStart("fault");
                json.writeNumberField("offset", fault.offset());
                json.writeBooleanField("truncated", fault.truncated());
                json.writeStringField("message", fault.message());
                json.writeEndObject();
            }
        });
    }

    private static String object(Members members) throws IOException {
        StringWriter text = new StringWriter();
        try (JsonGenerator json = FACTORY.createGenerator(text)) {
            json.writeStartObject();
            members.write(json);
            json.writeEndObject();
        }
        return text.toString();
    }
}
