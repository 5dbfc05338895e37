package io.migrationd.migrationd.control;

import static io.migrationd.migrationd.control.QmpType.Builtin.ANY;
import static io.migrationd.migrationd.control.QmpType.Builtin.STRING;
import static io.migrationd.migrationd.control.QmpType.Member.optional;
import static io.migrationd.migrationd.control.QmpType.Member.required;

import com.fasterxml.jackson.databind.node.ArrayNode;
import io.migrationd.migrationd.control.CommandException.ErrorClass;
import io.migrationd.migrationd.control.QmpType.ListOf;
import io.migrationd.migrationd.control.QmpType.Member;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The commands of one socket, by name. Built whole, then only read. */
final class CommandTable {
    /** The one command that a new connection may send. */
    static final String NEGOTIATE = "qmp_capabilities";

    private static final QmpType CAPABILITIES = new ListOf(QmpType.enumeration("QMPCapability", "oob"));

    private final Map<String, Command> commands = new LinkedHashMap<>();

    /**
     * @param others what the socket has besides the commands of the dialect itself
     * @param events that its clients may hear
     */
    CommandTable(Collection<Command> others, Collection<QmpType.Struct> events, DaemonFacts facts) {
        add(new Command(
                NEGOTIATE, Role.OBSERVE, List.of(optional("enable", CAPABILITIES)), Types.NOTHING, arguments -> {
                    // The first one is the connection's own business; this is a second one.
                    throw new CommandException(
                            ErrorClass.COMMAND_NOT_FOUND,
                            "Capabilities negotiation is already complete, command ignored");
                }));
        add(query("query-version", Types.VERSION, arguments -> Version.json(facts)));
        add(query("query-commands", new ListOf(Types.COMMAND_NAME), arguments -> names()));
        add(query(
                "query-qmp-schema",
                new ListOf(ANY),
                arguments -> SchemaIntrospection.describe(commands.values(), events)));
        others.forEach(this::add);
    }

    /** The command of that name. */
    Command find(String name) throws CommandException {
        Command command = commands.get(name);
        if (command == null) {
            throw new CommandException(
                    ErrorClass.COMMAND_NOT_FOUND, "The command %s has not been found".formatted(name));
        }
        return command;
    }

    boolean has(String name) {
        return commands.containsKey(name);
    }

    Collection<Command> commands() {
        return List.copyOf(commands.values());
    }

    /** A command without arguments that changes nothing. */
    static Command query(String name, QmpType returns, Command.Body body) {
        return new Command(name, Role.OBSERVE, List.of(), returns, body);
    }

    /** The argument that names a guest on the daemon's socket. */
    static Member guestParameter() {
        return required("guest", STRING);
    }

    private ArrayNode names() {
        ArrayNode names = Json.array();
        commands.keySet().forEach(name -> names.addObject().put("name", name));
        return names;
    }

    private void add(Command command) {
        if (commands.putIfAbsent(command.name(), command) != null) {
            throw new IllegalStateException("two commands are named " + command.name());
        }
    }
}
