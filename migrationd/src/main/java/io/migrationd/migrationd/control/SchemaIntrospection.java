package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * {@code query-qmp-schema}: the command table as QEMU's SchemaInfo, so that programs can probe for what is there.
 * Source: QEMU 10.0 qapi/introspect.json. Type names are readable here; QEMU's are numbers, and neither is an
 * interface.
 */
final class SchemaIntrospection {
    /** By name, so that each type stands once; commands and events live in the same list. */
    private final Map<String, ObjectNode> entries = new LinkedHashMap<>();

    private SchemaIntrospection() {}

    static ArrayNode describe(Collection<Command> commands, Collection<QmpType.Struct> events) {
        SchemaIntrospection schema = new SchemaIntrospection();
        for (Command command : commands) {
            ObjectNode entry = schema.entry(command.name(), "command")
                    .put("arg-type", schema.type(command.argumentType()))
                    .put("ret-type", schema.type(command.returns()));
            if (command.outOfBand()) {
                entry.put("allow-oob", true);
            }
        }
        for (QmpType.Struct event : events) {
            QmpType.Struct data = new QmpType.Struct(event.schemaName() + "-data", event.members());
            schema.entry(event.schemaName(), "event").put("arg-type", schema.type(data));
        }
        return Json.array().addAll(schema.entries.values());
    }

    /** Lists a type with all that it is made of; returns its name. */
    private String type(QmpType type) {
        String name = type.schemaName();
        if (entries.containsKey(name)) {
            return name;
        }
        switch (type) {
            case QmpType.Builtin builtin -> entry(name, "builtin").put("json-type", builtin.jsonType());
            case QmpType.Enumeration enumeration -> enumeration(entry(name, "enum"), enumeration.values());
            case QmpType.ListOf list -> entry(name, "array").put("element-type", type(list.element()));
            case QmpType.Struct struct -> members(entry(name, "object"), struct.members());
            case QmpType.Union union -> union(entry(name, "object"), union);
        }
        return name;
    }

    private ObjectNode entry(String name, String metaType) {
        ObjectNode entry = Json.object().put("name", name).put("meta-type", metaType);
        if (entries.putIfAbsent(name, entry) != null) {
            throw new IllegalStateException("the schema has two entries named " + name);
        }
        return entry;
    }

    private void members(ObjectNode entry, List<QmpType.Member> members) {
        ArrayNode list = entry.putArray("members");
        for (QmpType.Member member : members) {
            ObjectNode item = list.addObject().put("name", member.name()).put("type", type(member.type()));
            if (!member.required()) {
                // That is how introspection says "optional".
                item.putNull("default");
            }
        }
    }

    private void union(ObjectNode entry, QmpType.Union union) {
        members(entry, union.base());
        entry.put("tag", union.tag());
        ArrayNode variants = entry.putArray("variants");
        union.variants()
                .forEach((value, struct) ->
                        variants.addObject().put("case", value).put("type", type(struct)));
    }

    private static void enumeration(ObjectNode entry, List<String> values) {
        ArrayNode members = entry.putArray("members");
        ArrayNode plain = entry.putArray("values");
        for (String value : values) {
            members.addObject().put("name", value);
            plain.add(value);
        }
    }
}
