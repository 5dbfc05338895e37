package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.guest.qemu.FactsException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.guest.qemu.MoveDefaults;
import io.migrationd.migrationd.guest.qemu.MoveWishes;
import io.migrationd.migrationd.guest.qemu.Preflight;
import io.migrationd.migrationd.guest.qemu.Problem;
import io.migrationd.migrationd.guest.qemu.QemuFacts;
import io.migrationd.migrationd.guest.qemu.QemuFactsJson;
import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.TargetProbe;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.peer.MoveOrder;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Function;
import java.util.stream.Stream;

/** Guests by their definitions in guests.d, which are read anew each time: an administrator's change counts at once. */
final class DefinedGuests implements GuestBook {
    private static final Duration CALL = Duration.ofSeconds(5);

    private static final QmpMonitor.Listener NOBODY = new QmpMonitor.Listener() {
        @Override
        public void event(QmpEvent event) {
            // A look, not a watch.
        }

        @Override
        public void closed(QmpClosedException cause) {
            // The call that waits says so.
        }
    };

    private final GuestDefinitions definitions;
    private final TargetProbe probe;
    private final String daemonVersion;
    private final Optional<Instant> certificateExpires;
    private final Function<UUID, Optional<String>> runsHere;

    /** @param runsHere why a guest may not come, as the journal knows it */
    DefinedGuests(
            GuestDefinitions definitions,
            TargetProbe probe,
            String daemonVersion,
            Optional<Instant> certificateExpires,
            Function<UUID, Optional<String>> runsHere) {
        this.definitions = definitions;
        this.probe = probe;
        this.daemonVersion = daemonVersion;
        this.certificateExpires = certificateExpires;
        this.runsHere = runsHere;
    }

    @Override
    public Optional<DefinedGuest> byName(String name) {
        return Optional.ofNullable(definitions.read().definitions().get(name)).map(DefinedGuests::defined);
    }

    @Override
    public Optional<DefinedGuest> byUuid(UUID uuid) {
        return definition(uuid).map(DefinedGuests::defined);
    }

    Optional<GuestDefinition> definition(UUID uuid) {
        return definitions.read().definitions().values().stream()
                .filter(definition -> definition.uuid().equals(uuid))
                .findFirst();
    }

    /** Definitions that can't be read, in words. */
    List<String> problems() {
        return definitions.read().problems().values().stream()
                .map(ConfigException::getMessage)
                .toList();
    }

    private static DefinedGuest defined(GuestDefinition definition) {
        return new DefinedGuest(
                definition.name(),
                definition.uuid(),
                definition.qmp(),
                settings(definition.move()),
                definition.incoming().isPresent());
    }

    private static MoveSettings settings(MoveDefaults defaults) {
        return new MoveSettings(
                MoveOperations.PostcopyUse.valueOf(defaults.postcopy().name()),
                defaults.preempt(),
                defaults.multifdChannels(),
                defaults.xbzrle(),
                defaults.autoConverge(),
                defaults.downtimeLimitMillis(),
                defaults.maxDowntimeMillis(),
                defaults.timeBudgetMillis(),
                0,
                0,
                defaults.afterSuccess() == MoveDefaults.AfterSuccess.KEEP,
                defaults.retries());
    }

    private static MoveDefaults defaults(MoveSettings settings) {
        return new MoveDefaults(
                settings.downtimeLimitMillis(),
                settings.maxDowntimeMillis(),
                settings.timeBudgetMillis(),
                MoveDefaults.PostcopyUse.valueOf(settings.postcopy().name()),
                settings.preempt(),
                settings.multifdChannels(),
                settings.xbzrle(),
                settings.autoConverge(),
                settings.keepSource() ? MoveDefaults.AfterSuccess.KEEP : MoveDefaults.AfterSuccess.QUIT,
                settings.retries());
    }

    @Override
    public SourceFacts sourceFacts(DefinedGuest guest) throws IOException {
        try (QemuGuest qemu = QemuGuest.connect(guest.name(), guest.qmp(), CALL, NOBODY)) {
            QemuFacts facts = qemu.facts();
            return new SourceFacts(facts.runState().running(), facts);
        } catch (QmpConnectionException e) {
            throw new IOException("QEMU of '%s': %s".formatted(guest.name(), e.getMessage()), e);
        } catch (QmpException e) {
            throw new IOException("QEMU of '%s' refused: %s".formatted(guest.name(), e.getMessage()), e);
        }
    }

    @Override
    public JsonNode targetFacts(MoveOrder order) {
        List<String> clashes = new ArrayList<>();
        runsHere.apply(order.uuid()).ifPresent(clashes::add);
        return QemuFactsJson.encode(probe.collect(definition(order.uuid()), clashes));
    }

    @Override
    public List<MoveOperations.Problem> compare(
            DefinedGuest guest, SourceFacts source, JsonNode target, MoveSettings settings, PeerSession session)
            throws IOException {
        if (!(source.facts() instanceof QemuFacts facts)) {
            throw new IllegalArgumentException("facts of another book");
        }
        Optional<Instant> expires = Stream.concat(
                        certificateExpires.stream(), session.peerCertificateExpires().stream())
                .min(Instant::compareTo);
        MoveWishes wishes = new MoveWishes(
                guest.name(),
                guest.uuid(),
                defaults(settings),
                daemonVersion,
                Optional.empty(),
                expires,
                Instant.now());
        try {
            return Preflight.compare(facts, Optional.of(QemuFactsJson.decodeTarget(target)), wishes).stream()
                    .map(DefinedGuests::problem)
                    .toList();
        } catch (FactsException e) {
            throw new IOException(
                    "the facts of %s are not understood: %s".formatted(session.peerHost(), e.getMessage()), e);
        }
    }

    private static MoveOperations.Problem problem(Problem problem) {
        return new MoveOperations.Problem(problem.code(), problem.severity() == Problem.Severity.ERROR, problem.text());
    }
}
