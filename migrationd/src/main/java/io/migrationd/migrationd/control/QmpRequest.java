package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Iterator;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One message of a client, checked as far as the dialect goes. */
sealed interface QmpRequest {
    /**
     * A command. Whether it exists and what its arguments may be is the command table's business.
     *
     * @param id to be sent back; {@code null} if there was none
     */
    record Execute(
            String command, ObjectNode arguments, @Nullable JsonNode id, boolean outOfBand) implements QmpRequest {}

    /** A message that is none; the text goes back. */
    record Malformed(String reason, @Nullable JsonNode id) implements QmpRequest {}

    /** Reads a value. {@code exec-oob} is a member like any unknown one until out-of-band execution was negotiated. */
    static QmpRequest of(JsonNode message, boolean outOfBandEnabled) {
        if (!(message instanceof ObjectNode object)) {
            return new Malformed("QMP input must be a JSON object", null);
        }
        JsonNode id = object.get("id");
        String command = null;
        boolean outOfBand = false;
        ObjectNode arguments = Json.object();
        Iterator<Map.Entry<String, JsonNode>> members = object.properties().iterator();
        while (members.hasNext()) {
            Map.Entry<String, JsonNode> member = members.next();
            String name = member.getKey();
            JsonNode value = member.getValue();
            if (name.equals("execute") || (name.equals("exec-oob") && outOfBandEnabled)) {
                if (!value.isTextual()) {
                    return new Malformed("QMP input member '%s' must be a string".formatted(name), id);
                }
                if (command != null) {
                    return new Malformed("QMP input members 'execute' and 'exec-oob' exclude each other", id);
                }
                command = value.textValue();
                outOfBand = name.equals("exec-oob");
            } else if (name.equals("arguments")) {
                if (!(value instanceof ObjectNode given)) {
                    return new Malformed("QMP input member 'arguments' must be an object", id);
                }
                arguments = given;
            } else if (!name.equals("id")) {
                return new Malformed("QMP input member '%s' is unexpected".formatted(name), id);
            }
        }
        return command == null
                ? new Malformed("QMP input lacks member 'execute'", id)
                : new Execute(command, arguments, id, outOfBand);
    }
}
