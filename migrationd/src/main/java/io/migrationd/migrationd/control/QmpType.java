package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/**
 * The type of an argument or a result. One description serves three ends: arguments are checked against it,
 * {@code query-qmp-schema} shows it, and tests check results against it.
 */
sealed interface QmpType {
    /** The name in {@code query-qmp-schema}. */
    String schemaName();

    /**
     * Checks a value.
     *
     * @param path the parameter's name in errors, for example {@code channels[0].addr}
     */
    void check(String path, JsonNode value) throws CommandException;

    /** A member of an object. */
    record Member(String name, QmpType type, boolean required) {
        static Member required(String name, QmpType type) {
            return new Member(name, type, true);
        }

        static Member optional(String name, QmpType type) {
            return new Member(name, type, false);
        }
    }

    /** QAPI's builtin types, as far as we use them. */
    enum Builtin implements QmpType {
        STRING("str", "string"),
        INTEGER("int", "int"),
        NUMBER("number", "number"),
        BOOLEAN("bool", "boolean"),
        ANY("any", "value");

        private final String schemaName;
        private final String jsonType;

        Builtin(String schemaName, String jsonType) {
            this.schemaName = schemaName;
            this.jsonType = jsonType;
        }

        @Override
        public String schemaName() {
            return schemaName;
        }

        String jsonType() {
            return jsonType;
        }

        @Override
        public void check(String path, JsonNode value) throws CommandException {
            boolean fits = switch (this) {
                case STRING -> value.isTextual();
                case INTEGER -> value.isIntegralNumber();
                case NUMBER -> value.isNumber();
                case BOOLEAN -> value.isBoolean();
                case ANY -> true;
            };
            if (!fits) {
                throw expects(path, this == INTEGER ? "integer" : jsonType);
            }
        }
    }

    /** One of some strings. */
    record Enumeration(String schemaName, List<String> values) implements QmpType {
        @Override
        public void check(String path, JsonNode value) throws CommandException {
            Builtin.STRING.check(path, value);
            if (!values.contains(value.textValue())) {
                throw new CommandException(
                        "Parameter '%s' does not accept value '%s'".formatted(path, value.textValue()));
            }
        }
    }

    /** A list. */
    record ListOf(QmpType element) implements QmpType {
        @Override
        public String schemaName() {
            return "[" + element.schemaName() + "]";
        }

        @Override
        public void check(String path, JsonNode value) throws CommandException {
            if (!value.isArray()) {
                throw expects(path, "array");
            }
            for (int i = 0; i < value.size(); i++) {
                element.check(path + "[" + i + "]", value.get(i));
            }
        }
    }

    /** An object with these members and no others. */
    record Struct(String schemaName, List<Member> members) implements QmpType {
        static Struct of(String schemaName, Member... members) {
            return new Struct(schemaName, List.of(members));
        }

        @Override
        public void check(String path, JsonNode value) throws CommandException {
            checkMembers(path, requireObject(path, value), members);
        }
    }

    /** An object whose other members depend on the value of {@code tag}, one of {@code base}. */
    record Union(String schemaName, List<Member> base, String tag, Map<String, Struct> variants) implements QmpType {
        @Override
        public void check(String path, JsonNode value) throws CommandException {
            ObjectNode object = requireObject(path, value);
            for (Member member : base) {
                checkMember(path, object, member);
            }
            // An unknown tag has just been refused; one without a variant adds nothing.
            Struct variant = variants.get(object.get(tag).textValue());
            List<Member> others = variant == null ? List.of() : variant.members();
            checkMembers(
                    path, object, Stream.concat(base.stream(), others.stream()).toList());
        }
    }

    /** The names as an enumeration. */
    static Enumeration enumeration(String schemaName, String... values) {
        return new Enumeration(schemaName, Arrays.asList(values));
    }

    private static ObjectNode requireObject(String path, JsonNode value) throws CommandException {
        if (value instanceof ObjectNode object) {
            return object;
        }
        throw expects(path, "object");
    }

    private static void checkMembers(String path, ObjectNode object, List<Member> members) throws CommandException {
        for (Member member : members) {
            checkMember(path, object, member);
        }
        for (String name : (Iterable<String>) object::fieldNames) {
            if (members.stream().noneMatch(member -> member.name().equals(name))) {
                throw new CommandException("Parameter '%s' is unexpected".formatted(join(path, name)));
            }
        }
    }

    private static void checkMember(String path, ObjectNode object, Member member) throws CommandException {
        JsonNode value = object.get(member.name());
        String name = join(path, member.name());
        if (value != null) {
            member.type().check(name, value);
        } else if (member.required()) {
            throw new CommandException("Parameter '%s' is missing".formatted(name));
        }
    }

    private static CommandException expects(String path, String type) {
        return new CommandException("Parameter '%s' expects %s".formatted(path, type));
    }

    private static String join(String path, String name) {
        return path.isEmpty() ? name : path + "." + name;
    }
}
