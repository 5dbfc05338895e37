package io.migrationd.migrationd.control;

import static io.migrationd.migrationd.control.QmpType.Builtin.ANY;
import static io.migrationd.migrationd.control.QmpType.Builtin.BOOLEAN;
import static io.migrationd.migrationd.control.QmpType.Builtin.INTEGER;
import static io.migrationd.migrationd.control.QmpType.Builtin.NUMBER;
import static io.migrationd.migrationd.control.QmpType.Builtin.STRING;
import static io.migrationd.migrationd.control.QmpType.Member.optional;
import static io.migrationd.migrationd.control.QmpType.Member.required;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.control.CommandException.ErrorClass;
import io.migrationd.migrationd.control.MoveOperations.MoveView;
import io.migrationd.migrationd.control.MoveOperations.MoveWish;
import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.control.MoveOperations.Problem;
import io.migrationd.migrationd.control.MoveOperations.RescueKind;
import io.migrationd.migrationd.control.MoveOperations.RescueWish;
import io.migrationd.migrationd.control.QmpType.Enumeration;
import io.migrationd.migrationd.control.QmpType.ListOf;
import io.migrationd.migrationd.control.QmpType.Member;
import io.migrationd.migrationd.control.QmpType.Struct;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The daemon's commands for moves of QEMU guests, and for their reports. All names are ours. */
final class MoveCommands {
    private static final Enumeration POSTCOPY_USE = enumeration("MovePostcopyUse", PostcopyUse.values());
    private static final Enumeration RESCUE_KIND = enumeration("MoveRescueKind", RescueKind.values());

    private static final Struct PROBLEM = Struct.of(
            "MoveProblem",
            required("code", STRING),
            required("severity", QmpType.enumeration("MoveProblemSeverity", "error", "warning")),
            required("text", STRING));

    private static final Struct CHECK =
            Struct.of("MoveCheck", required("possible", BOOLEAN), required("problems", new ListOf(PROBLEM)));

    private static final Struct PROGRESS = Struct.of(
            "MoveProgress",
            required("total", INTEGER),
            required("remaining", INTEGER),
            required("transferred", INTEGER),
            required("passes", INTEGER),
            required("mbps", NUMBER),
            required("downtime-millis", INTEGER),
            required("page-requests", INTEGER));

    private static final Struct MOVE = Struct.of(
            "MoveInfo",
            required("id", STRING),
            required("guest", STRING),
            required("role", QmpType.enumeration("MoveRole", "source", "destination")),
            required("peer", STRING),
            required("attempt", INTEGER),
            required("phase", STRING),
            optional("outcome", STRING),
            required("where", QmpType.enumeration("MoveWhere", "source", "destination", "unknown")),
            required("message", STRING),
            optional("qemu-status", STRING),
            required("started-at-millis", INTEGER),
            required("elapsed-millis", INTEGER),
            required("progress", PROGRESS),
            optional("link-down-millis", INTEGER),
            required("link-outages", INTEGER),
            required("recoveries", INTEGER),
            optional("last-decision", STRING),
            optional("next-attempt-millis", INTEGER));

    private static final List<Member> WISH = List.of(
            required("to", STRING),
            optional("postcopy", POSTCOPY_USE),
            optional("preempt", BOOLEAN),
            optional("multifd-channels", INTEGER),
            optional("xbzrle", BOOLEAN),
            optional("auto-converge", BOOLEAN),
            optional("downtime-limit", INTEGER),
            optional("max-downtime", INTEGER),
            optional("time-budget", INTEGER),
            optional("max-bandwidth", INTEGER),
            optional("max-postcopy-bandwidth", INTEGER),
            optional("keep-source", BOOLEAN),
            optional("retries", INTEGER));

    private final MoveOperations moves;

    MoveCommands(MoveOperations moves) {
        this.moves = moves;
    }

    List<Command> commands() {
        Member guest = CommandTable.guestParameter();
        List<Member> wish = Stream.concat(Stream.of(guest), WISH.stream()).toList();
        return List.of(
                new Command(
                        "move-check",
                        Role.OPERATE,
                        wish,
                        CHECK,
                        arguments -> checked(moves.check(arguments.string("guest"), wish(arguments)))),
                new Command(
                        "move-start",
                        Role.OPERATE,
                        wish,
                        MOVE,
                        arguments -> view(moves.start(arguments.string("guest"), wish(arguments)))),
                new Command("move-cancel", Role.OPERATE, List.of(guest), Types.NOTHING, arguments -> {
                    moves.cancel(arguments.string("guest"));
                    return Json.object();
                }),
                CommandTable.query("move-list", new ListOf(MOVE), arguments -> {
                    ArrayNode list = Json.array();
                    moves.moves().forEach(move -> list.add(view(move)));
                    return list;
                }),
                new Command(
                        "move-show",
                        Role.OBSERVE,
                        List.of(guest),
                        MOVE,
                        arguments -> view(moves.find(arguments.string("guest"))
                                .orElseThrow(() -> notFound(arguments.string("guest"))))),
                new Command(
                        "move-rescue",
                        Role.ADMINISTER,
                        List.of(guest, required("kind", RESCUE_KIND)),
                        Types.NOTHING,
                        arguments -> {
                            moves.rescue(
                                    arguments.string("guest"),
                                    new RescueWish(named(RescueKind.values(), arguments.string("kind"))));
                            return Json.object();
                        }),
                new Command(
                        "move-reclaim",
                        Role.ADMINISTER,
                        List.of(guest, optional("force", BOOLEAN)),
                        Types.NOTHING,
                        arguments -> {
                            moves.reclaim(arguments.string("guest"), arguments.flag("force", false));
                            return Json.object();
                        }),
                new Command(
                        "report-list", Role.OBSERVE, List.of(optional("guest", STRING)), new ListOf(ANY), arguments -> {
                            ArrayNode list = Json.array();
                            list.addAll(moves.reports(
                                    arguments.has("guest")
                                            ? Optional.of(arguments.string("guest"))
                                            : Optional.empty()));
                            return list;
                        }),
                new Command(
                        "report-show",
                        Role.OBSERVE,
                        List.of(required("id", STRING)),
                        ANY,
                        arguments -> moves.report(arguments.string("id"))
                                .orElseThrow(() -> new CommandException(
                                        ErrorClass.DEVICE_NOT_FOUND,
                                        "there is no report '%s'".formatted(arguments.string("id"))))));
    }

    private static CommandException notFound(String guest) {
        return new CommandException(
                ErrorClass.DEVICE_NOT_FOUND, "guest '%s' was not moved since this daemon started".formatted(guest));
    }

    private static MoveWish wish(Arguments arguments) throws CommandException {
        return new MoveWish(
                arguments.string("to"),
                arguments.has("postcopy") ? named(PostcopyUse.values(), arguments.string("postcopy")) : null,
                flag(arguments, "preempt"),
                arguments.has("multifd-channels") ? (int) number(arguments, "multifd-channels", 0, 64) : null,
                flag(arguments, "xbzrle"),
                flag(arguments, "auto-converge"),
                limit(arguments, "downtime-limit"),
                limit(arguments, "max-downtime"),
                limit(arguments, "time-budget"),
                limit(arguments, "max-bandwidth"),
                limit(arguments, "max-postcopy-bandwidth"),
                flag(arguments, "keep-source"),
                arguments.has("retries") ? (int) number(arguments, "retries", 0, 100) : null);
    }

    private static @Nullable Boolean flag(Arguments arguments, String name) {
        return arguments.has(name) ? (Boolean) arguments.flag(name, false) : null;
    }

    private static @Nullable Long limit(Arguments arguments, String name) throws CommandException {
        return arguments.has(name) ? (Long) number(arguments, name, 0, Long.MAX_VALUE) : null;
    }

    private static long number(Arguments arguments, String name, long least, long most) throws CommandException {
        JsonNode value = arguments.node(name);
        if (!value.canConvertToLong() || value.longValue() < least || value.longValue() > most) {
            throw new CommandException("Parameter '%s' expects a number from %d to %d".formatted(name, least, most));
        }
        return value.longValue();
    }

    private static ObjectNode checked(List<Problem> problems) {
        ObjectNode check = Json.object().put("possible", problems.stream().noneMatch(Problem::error));
        ArrayNode list = check.putArray("problems");
        problems.forEach(problem -> list.addObject()
                .put("code", problem.code())
                .put("severity", problem.error() ? "error" : "warning")
                .put("text", problem.text()));
        return check;
    }

    private static ObjectNode view(MoveView move) {
        ObjectNode view = Json.object()
                .put("id", move.id())
                .put("guest", move.guest())
                .put("role", move.role())
                .put("peer", move.peer())
                .put("attempt", move.attempt())
                .put("phase", move.phase());
        move.outcome().ifPresent(outcome -> view.put("outcome", outcome));
        view.put("where", move.where()).put("message", move.message());
        move.qemuStatus().ifPresent(status -> view.put("qemu-status", status));
        view.put("started-at-millis", move.startedAtMillis()).put("elapsed-millis", move.elapsedMillis());
        view.putObject("progress")
                .put("total", move.progress().totalBytes())
                .put("remaining", move.progress().remainingBytes())
                .put("transferred", move.progress().transferredBytes())
                .put("passes", move.progress().passes())
                .put("mbps", move.progress().megabitsPerSecond())
                .put("downtime-millis", move.progress().downtimeMillis())
                .put("page-requests", move.progress().pageRequests());
        move.linkDown().ifPresent(down -> view.put("link-down-millis", down.toMillis()));
        view.put("link-outages", move.outages()).put("recoveries", move.recoveries());
        move.lastDecision().ifPresent(decision -> view.put("last-decision", decision));
        move.nextAttempt().ifPresent(left -> view.put("next-attempt-millis", left.toMillis()));
        return view;
    }

    private static String jsonName(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static Enumeration enumeration(String name, Enum<?>... values) {
        return new Enumeration(
                name, Arrays.stream(values).map(MoveCommands::jsonName).toList());
    }

    /** A name that is none was refused with the types. */
    private static <E extends Enum<E>> E named(E[] values, String name) {
        return Arrays.stream(values)
                .filter(value -> jsonName(value).equals(name))
                .findFirst()
                .orElseThrow();
    }
}
