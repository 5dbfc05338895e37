package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;

/**
 * One entry of the command table.
 *
 * @param needs the least role of a client that may run it
 * @param returns {@link Types#NOTHING} for an empty object
 * @param outOfBand whether it may overtake commands that wait: it must not wait for anything itself
 */
record Command(
        String name, Role needs, List<QmpType.Member> parameters, QmpType returns, boolean outOfBand, Body body) {
    /** One that waits for its turn. */
    Command(String name, Role needs, List<QmpType.Member> parameters, QmpType returns, Body body) {
        this(name, needs, parameters, returns, false, body);
    }

    /** What it does. Runs on the client's own thread. */
    @FunctionalInterface
    interface Body {
        JsonNode run(Arguments arguments) throws CommandException;
    }

    /** The arguments as one type. */
    QmpType.Struct argumentType() {
        return new QmpType.Struct(name + "-arguments", parameters);
    }

    JsonNode run(Arguments arguments) throws CommandException {
        argumentType().check("", arguments.members());
        return body.run(arguments);
    }
}
