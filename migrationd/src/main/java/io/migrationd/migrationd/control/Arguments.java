package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * The arguments of one command, checked against its declaration.
 *
 * @param members as they came; a command reads only what it declares
 */
record Arguments(ObjectNode members) {
    boolean has(String name) {
        return members.has(name);
    }

    /** A declared and required string. */
    String string(String name) {
        return node(name).textValue();
    }

    boolean flag(String name, boolean fallback) {
        JsonNode value = members.get(name);
        return value == null ? fallback : value.booleanValue();
    }

    /** A declared and required value. */
    JsonNode node(String name) {
        JsonNode value = members.get(name);
        if (value == null) {
            throw new IllegalStateException("argument " + name + " is read but was not required");
        }
        return value;
    }
}
