package io.migrationd.migrationd.control;

import static io.migrationd.migrationd.control.QmpType.Builtin.BOOLEAN;
import static io.migrationd.migrationd.control.QmpType.Builtin.STRING;
import static io.migrationd.migrationd.control.QmpType.Member.optional;
import static io.migrationd.migrationd.control.QmpType.Member.required;
import static io.migrationd.migrationd.session.Capability.POSTCOPY_PREEMPT;
import static io.migrationd.migrationd.session.Capability.POSTCOPY_RAM;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import io.migrationd.migrationd.control.CommandException.ErrorClass;
import io.migrationd.migrationd.control.QmpType.ListOf;
import io.migrationd.migrationd.control.QmpType.Member;
import io.migrationd.migrationd.control.QmpType.Struct;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.qemu.Problem;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import java.math.BigInteger;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * Makes the command tables: on the daemon's socket each guest command takes {@code "guest": NAME}, on a guest's own
 * socket the guest is given and the daemon's commands are not there.
 */
final class Commands {
    private static final BigInteger TWO_TO_64 = BigInteger.ONE.shiftLeft(64);
    private static final BigInteger LONG_MAX = BigInteger.valueOf(Long.MAX_VALUE);

    private final GuestDirectory directory;
    private final QemuGuestViews qemus;
    private final MoveOperations moves;
    private final DaemonFacts facts;
    private final InstantSource clock;
    /** Two clients that each set one parameter or capability of a guest must not undo each other. */
    private final Object settingsLock = new Object();

    Commands(
            GuestDirectory directory,
            QemuGuestViews qemus,
            MoveOperations moves,
            DaemonFacts facts,
            InstantSource clock) {
        this.directory = directory;
        this.qemus = qemus;
        this.moves = moves;
        this.facts = facts;
        this.clock = clock;
    }

    /** The table of {@code control.sock}. */
    CommandTable ofDaemon() {
        List<Command> commands = new ArrayList<>(daemonCommands());
        commands.addAll(new MoveCommands(moves).commands());
        for (GuestCommand command : guestCommands()) {
            List<Member> parameters = Stream.concat(
                            Stream.of(CommandTable.guestParameter()), command.parameters().stream())
                    .toList();
            commands.add(command.with(parameters, arguments -> find(arguments.string("guest"))));
        }
        List<Struct> events = Stream.concat(Types.EVENTS.stream(), Types.MOVE_EVENTS.stream())
                .map(event -> new Struct(
                        event.schemaName(),
                        Stream.concat(Stream.of(CommandTable.guestParameter()), event.members().stream())
                                .toList()))
                .toList();
        return new CommandTable(commands, events, facts);
    }

    /** The table of {@code guests/NAME.qmp}. */
    CommandTable ofGuest(String name) {
        List<Command> commands = guestCommands().stream()
                .map(command -> command.with(command.parameters(), arguments -> find(name)))
                .toList();
        return new CommandTable(commands, Types.EVENTS, facts);
    }

    /** A command of one guest, before it is known how a client names the guest. */
    private record GuestCommand(
            String name, Role needs, List<Member> parameters, QmpType returns, boolean outOfBand, GuestBody body) {
        Command with(List<Member> actualParameters, GuestFinder finder) {
            return new Command(
                    name,
                    needs,
                    actualParameters,
                    returns,
                    outOfBand,
                    arguments -> body.run(finder.find(arguments), arguments));
        }

        GuestCommand alsoOutOfBand() {
            return new GuestCommand(name, needs, parameters, returns, true, body);
        }
    }

    private interface GuestBody {
        JsonNode run(GuestOperations guest, Arguments arguments) throws CommandException;
    }

    private interface GuestAction {
        void run(GuestOperations guest, Arguments arguments) throws CommandException;
    }

    private interface GuestFinder {
        GuestOperations find(Arguments arguments) throws CommandException;
    }

    private GuestOperations find(String name) throws CommandException {
        return directory
                .find(name)
                .orElseThrow(() ->
                        new CommandException(ErrorClass.DEVICE_NOT_FOUND, "Guest '%s' not found".formatted(name)));
    }

    private QemuGuestViews.Check findQemu(String name) throws CommandException {
        QemuGuestViews.Check check = qemus.check(name)
                .orElseThrow(() -> new CommandException(
                        ErrorClass.DEVICE_NOT_FOUND, "No QEMU guest '%s' is defined".formatted(name)));
        Optional<MoveOperations.MoveView> move =
                moves.find(name).filter(view -> view.outcome().isEmpty());
        if (move.isEmpty()) {
            return check;
        }
        // A QEMU serves one client, and in a move that is the mover: that it doesn't answer here means nothing.
        List<Problem> problems = new ArrayList<>(check.guest().reachable() ? check.problems() : List.of());
        problems.add(new Problem(
                "moving",
                Problem.Severity.ERROR,
                "a move of it is under way (%s, %s): see 'migrationctl moves show %s'"
                        .formatted(move.get().role(), move.get().phase(), name)));
        return new QemuGuestViews.Check(check.guest(), problems);
    }

    private List<Command> daemonCommands() {
        Member guest = CommandTable.guestParameter();
        return List.of(
                CommandTable.query("guest-list", new ListOf(Types.GUEST_SUMMARY), arguments -> guestList()),
                new Command(
                        "guest-park",
                        Role.ADMINISTER,
                        List.of(guest),
                        Types.GUEST_SUMMARY,
                        arguments -> Views.guestSummary(directory
                                .createParked(arguments.string("guest"))
                                .view())),
                new Command("guest-reclaim", Role.ADMINISTER, List.of(guest), Types.NOTHING, arguments -> {
                    find(arguments.string("guest")).reclaim();
                    return Json.object();
                }),
                new Command("guest-remove", Role.ADMINISTER, List.of(guest), Types.NOTHING, arguments -> {
                    // An unknown guest is DeviceNotFound here as everywhere.
                    directory.remove(find(arguments.string("guest")).view().name());
                    return Json.object();
                }),
                CommandTable.query(
                        "guest-definitions", Types.GUEST_DEFINITIONS, arguments -> Views.definitions(qemus.list())),
                new Command(
                        "guest-check",
                        Role.OBSERVE,
                        List.of(guest),
                        Types.GUEST_CHECK,
                        arguments -> Views.check(findQemu(arguments.string("guest")))),
                CommandTable.query("daemon-status", Types.DAEMON_STATUS, arguments -> daemonStatus()));
    }

    private List<GuestCommand> guestCommands() {
        List<Member> where = List.of(optional("uri", STRING), optional("channels", new ListOf(Types.CHANNEL)));
        return List.of(
                query("guest-show", Types.GUEST_DETAILS, guest -> Views.guestDetails(guest.view())),
                query("query-status", Types.STATUS_INFO, guest -> status(guest.queryStatus())),
                query("query-migrate", Types.MIGRATION_INFO, guest -> Views.migration(guest.queryMigrate())),
                query(
                        "query-migrate-capabilities",
                        new ListOf(Types.CAPABILITY_STATUS),
                        guest -> capabilities(guest.capabilities())),
                query(
                        "query-migrate-parameters",
                        Types.MIGRATION_PARAMETERS,
                        guest -> Views.parameters(guest.parameters())),
                action(
                        "migrate",
                        with(where, optional("detach", BOOLEAN), optional("resume", BOOLEAN)),
                        Commands::migrate),
                action(
                        "migrate-incoming",
                        with(where, optional("exit-on-error", BOOLEAN)),
                        (guest, arguments) -> guest.migrateIncoming(MigrationAddress.uriOf(arguments))),
                action("migrate_cancel", List.of(), (guest, arguments) -> guest.migrateCancel()),
                action("migrate-start-postcopy", List.of(), (guest, arguments) -> guest.migrateStartPostcopy()),
                action("migrate-pause", List.of(), (guest, arguments) -> guest.migratePause())
                        .alsoOutOfBand(),
                action(
                                "migrate-recover",
                                List.of(required("uri", STRING)),
                                (guest, arguments) -> guest.migrateRecover(MigrationAddress.uriOf(arguments)))
                        .alsoOutOfBand(),
                action(
                        "migrate-continue",
                        List.of(required("state", Types.MIGRATION_STATUS)),
                        (guest, arguments) -> guest.migrateContinue(arguments.string("state"))),
                action(
                        "migrate-set-capabilities",
                        List.of(required("capabilities", new ListOf(Types.CAPABILITY_CHANGE))),
                        this::setCapabilities),
                action("migrate-set-parameters", Types.PARAMETERS, this::setParameters),
                action("stop", List.of(), (guest, arguments) -> guest.stop()),
                action("cont", List.of(), (guest, arguments) -> guest.cont()));
    }

    private static GuestCommand query(String name, QmpType returns, Function<GuestOperations, JsonNode> body) {
        return new GuestCommand(name, Role.OBSERVE, List.of(), returns, false, (guest, arguments) -> body.apply(guest));
    }

    private static GuestCommand action(String name, List<Member> parameters, GuestAction action) {
        return new GuestCommand(name, Role.OPERATE, parameters, Types.NOTHING, false, (guest, arguments) -> {
            action.run(guest, arguments);
            return Json.object();
        });
    }

    private static List<Member> with(List<Member> members, Member... others) {
        return Stream.concat(members.stream(), Stream.of(others)).toList();
    }

    /** {@code detach} has no effect: a migration is always detached. */
    private static void migrate(GuestOperations guest, Arguments arguments) throws CommandException {
        String uri = MigrationAddress.uriOf(arguments);
        if (arguments.flag("resume", false)) {
            guest.migrateResume(uri);
        } else {
            guest.migrate(uri);
        }
    }

    /** Source of the text: QEMU 10.0 migration/options.c, migrate_caps_check(). */
    private void setCapabilities(GuestOperations guest, Arguments arguments) throws CommandException {
        Map<Capability, Boolean> changes = changes(arguments.node("capabilities"));
        synchronized (settingsLock) {
            Set<Capability> on = guest.capabilities();
            boolean preempt = changes.getOrDefault(POSTCOPY_PREEMPT, on.contains(POSTCOPY_PREEMPT));
            if (preempt && !changes.getOrDefault(POSTCOPY_RAM, on.contains(POSTCOPY_RAM))) {
                throw new CommandException("Postcopy preempt requires postcopy-ram");
            }
            guest.setCapabilities(changes);
        }
    }

    private static Map<Capability, Boolean> changes(JsonNode list) throws CommandException {
        Map<Capability, Boolean> changes = new EnumMap<>(Capability.class);
        for (JsonNode item : list) {
            String name = item.get("capability").textValue();
            boolean on = item.get("state").booleanValue();
            Optional<Capability> capability = Capability.named(name);
            if (on && !capability.map(Capability::supported).orElse(false)) {
                throw new CommandException("Capability '%s' is not supported by this daemon".formatted(name));
            }
            capability.ifPresent(known -> changes.put(known, on));
        }
        return changes;
    }

    private void setParameters(GuestOperations guest, Arguments arguments) throws CommandException {
        synchronized (settingsLock) {
            MigrationParameters old = guest.parameters();
            MigrationParameters changed;
            try {
                changed = new MigrationParameters(
                        unsigned(arguments, "max-bandwidth", old.maxBandwidth()),
                        unsigned(arguments, "downtime-limit", old.downtimeLimitMillis()),
                        unsigned(arguments, "avail-switchover-bandwidth", old.availSwitchoverBandwidth()),
                        unsigned(arguments, "xbzrle-cache-size", old.xbzrleCacheSize()),
                        unsigned(arguments, "announce-initial", old.announceInitialMillis()),
                        unsigned(arguments, "announce-max", old.announceMaxMillis()),
                        unsigned(arguments, "announce-rounds", old.announceRounds()),
                        unsigned(arguments, "announce-step", old.announceStepMillis()),
                        unsigned(arguments, "max-postcopy-bandwidth", old.maxPostcopyBandwidth()),
                        policy(arguments, old.postcopyPolicy()),
                        unsigned(arguments, "postcopy-budget", old.postcopyBudgetMillis()));
            } catch (IllegalArgumentException e) {
                throw new CommandException(String.valueOf(e.getMessage()));
            }
            guest.setParameters(changed);
        }
    }

    /**
     * QEMU takes a negative number modulo 2^64, so that -1 is "as much as there is". What is above the largest long is
     * kept as the largest long: no bandwidth comes near it, and every other parameter has a lower limit.
     */
    private static long unsigned(Arguments arguments, String name, long old) throws CommandException {
        if (!arguments.has(name)) {
            return old;
        }
        BigInteger value = arguments.node(name).bigIntegerValue();
        if (value.bitLength() > 64) {
            throw new CommandException("Parameter '%s' expects a 64-bit integer".formatted(name));
        }
        return value.mod(TWO_TO_64).min(LONG_MAX).longValue();
    }

    private static PostcopyPolicy policy(Arguments arguments, PostcopyPolicy old) {
        // A name that is none was refused with the types.
        return arguments.has("postcopy-policy")
                ? PostcopyPolicy.named(arguments.string("postcopy-policy")).orElseThrow()
                : old;
    }

    private static JsonNode status(RunState state) {
        return Json.object().put("status", state.qmpName()).put("running", state == RunState.RUNNING);
    }

    private static JsonNode capabilities(Set<Capability> on) {
        ArrayNode list = Json.array();
        for (Capability capability : Capability.values()) {
            if (capability.supported()) {
                list.addObject().put("capability", capability.qmpName()).put("state", on.contains(capability));
            }
        }
        return list;
    }

    private JsonNode guestList() {
        ArrayNode list = Json.array();
        directory.guests().forEach(guest -> list.add(Views.guestSummary(guest.view())));
        return list;
    }

    private JsonNode daemonStatus() {
        Duration uptime = Duration.between(facts.startedAt(), clock.instant());
        return Json.object()
                .put("version", facts.version())
                .put("pid", facts.pid())
                .put("uptime-seconds", Math.max(0, uptime.toSeconds()))
                .put("guests", directory.guests().size())
                .set("host-features", Json.ofMap(facts.hostFeatures().get()));
    }
}
