package io.migrationd.migrationd;

import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.QemuGuestViews;
import io.migrationd.migrationd.guest.qemu.GuestDefinition;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.guest.qemu.MoveWishes;
import io.migrationd.migrationd.guest.qemu.Preflight;
import io.migrationd.migrationd.guest.qemu.Problem;
import io.migrationd.migrationd.guest.qemu.QemuFacts;
import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvents;
import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Looks at the QEMUs of this host's definitions for the control socket. Keeps no connection: a QEMU serves one client.
 */
final class QemuGuestCatalog implements QemuGuestViews {
    private static final Duration LOOK = Duration.ofMillis(500);
    private static final Duration CHECK = Duration.ofSeconds(5);

    /** How long a list may take in which many QEMUs do not answer. */
    private static final Duration LIST_BUDGET = Duration.ofSeconds(5);

    private final GuestDefinitions definitions;
    private final String version;
    private final InstantSource clock;

    QemuGuestCatalog(GuestDefinitions definitions, String version, InstantSource clock) {
        this.definitions = definitions;
        this.version = version;
        this.clock = clock;
    }

    @Override
    public Listing list() {
        GuestDefinitions.Listing read = definitions.read();
        long until = System.nanoTime() + LIST_BUDGET.toNanos();
        List<View> guests = new ArrayList<>();
        for (GuestDefinition definition : read.definitions().values()) {
            boolean inTime = System.nanoTime() < until;
            guests.add(inTime ? look(definition) : unreachable(definition));
        }
        List<DefinitionProblem> problems = read.problems().entrySet().stream()
                .map(entry -> new DefinitionProblem(
                        entry.getKey().toString(),
                        String.valueOf(entry.getValue().getMessage())))
                .toList();
        return new Listing(guests, problems);
    }

    @Override
    public Optional<Check> check(String name) throws CommandException {
        Optional<GuestDefinition> found;
        try {
            found = definitions.find(name);
        } catch (ConfigException e) {
            throw new CommandException(String.valueOf(e.getMessage()));
        }
        return found.map(this::check);
    }

    private Check check(GuestDefinition definition) {
        List<Problem> problems = new ArrayList<>();
        if (definition.incoming().isEmpty()) {
            problems.add(new Problem(
                    "no-incoming",
                    Problem.Severity.WARNING,
                    "the definition has no [incoming]: the guest can leave this host and not come back"));
        }
        try {
            QemuFacts facts = facts(definition, CHECK);
            problems.addAll(Preflight.ofSource(facts, wishes(definition)));
            return new Check(view(definition, facts), problems);
        } catch (QmpException | QmpConnectionException e) {
            problems.add(new Problem("unreachable", Problem.Severity.ERROR, String.valueOf(e.getMessage())));
            return new Check(unreachable(definition), problems);
        }
    }

    private MoveWishes wishes(GuestDefinition definition) {
        return new MoveWishes(
                definition.name(),
                definition.uuid(),
                definition.move(),
                version,
                Optional.empty(),
                Optional.empty(),
                clock.instant());
    }

    private static View look(GuestDefinition definition) {
        try {
            return view(definition, facts(definition, LOOK));
        } catch (QmpException | QmpConnectionException e) {
            return unreachable(definition);
        }
    }

    private static QemuFacts facts(GuestDefinition definition, Duration timeout)
            throws QmpException, QmpConnectionException {
        try (QemuGuest qemu = QemuGuest.connect(definition.name(), definition.qmp(), timeout, new QmpEvents())) {
            return qemu.facts();
        }
    }

    private static View view(GuestDefinition definition, QemuFacts facts) {
        return new View(
                definition.name(),
                definition.uuid().toString(),
                definition.qmp().toString(),
                true,
                Optional.of(facts.runState().name()),
                Optional.of(facts.machineType()),
                OptionalLong.of(facts.ramBytes()));
    }

    private static View unreachable(GuestDefinition definition) {
        return new View(
                definition.name(),
                definition.uuid().toString(),
                definition.qmp().toString(),
                false,
                Optional.empty(),
                Optional.empty(),
                OptionalLong.empty());
    }
}
