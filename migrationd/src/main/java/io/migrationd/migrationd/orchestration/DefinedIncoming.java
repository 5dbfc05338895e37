package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition;
import io.migrationd.migrationd.guest.qemu.IncomingQemu;
import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.QemuProcessId;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.UUID;
import java.util.function.Function;

/** Starts destinations' QEMUs from this host's definitions, or takes those that wait already. */
final class DefinedIncoming implements IncomingProcess.Starter {
    private static final Duration START = Duration.ofSeconds(30);
    private static final Duration CALL = Duration.ofSeconds(5);
    private static final String WAITING = "waiting";

    private static final QmpMonitor.Listener NOBODY = new QmpMonitor.Listener() {
        @Override
        public void event(QmpEvent event) {
            // The handle of the move listens, over a connection of its own.
        }

        @Override
        public void closed(QmpClosedException cause) {
            // Closed by us.
        }
    };

    private final Function<UUID, Optional<GuestDefinition>> definitions;
    private final Path runRoot;

    DefinedIncoming(Function<UUID, Optional<GuestDefinition>> definitions, Path runRoot) {
        this.definitions = definitions;
        this.runRoot = runRoot;
    }

    @Override
    public IncomingProcess start(TargetJob job) throws IOException {
        GuestDefinition definition = definition(job.order().uuid());
        GuestDefinition.Incoming incoming = definition
                .incoming()
                .orElseThrow(
                        () -> new IOException("the definition of '%s' has no [incoming]".formatted(definition.name())));
        return switch (incoming) {
            case GuestDefinition.Incoming.Waiting(Path qmp) -> new Waiting(definition.uuid(), definition.name(), qmp);
            case GuestDefinition.Incoming.Start template -> {
                try {
                    IncomingQemu.Started started =
                            IncomingQemu.start(definition, template, runRoot, START, CALL, NOBODY);
                    // A QEMU serves one client per socket.
                    started.monitor().close();
                    yield new Started(definition, started.process());
                } catch (GuestException e) {
                    throw new IOException(e.getMessage(), e);
                }
            }
        };
    }

    @Override
    public IncomingProcess find(Map<String, String> record) throws IOException {
        try {
            UUID uuid = UUID.fromString(record.getOrDefault("uuid", ""));
            if (record.containsKey(WAITING)) {
                return new Waiting(uuid, record.getOrDefault("name", "?"), Path.of(record.get(WAITING)));
            }
            GuestDefinition definition = definition(uuid);
            QemuProcessId id = new QemuProcessId(
                    Long.parseLong(record.getOrDefault("pid", "")),
                    Long.parseLong(record.getOrDefault("start-ticks", "")),
                    record.getOrDefault("boot", ""));
            return new Started(
                    definition,
                    IncomingQemu.find(definition, runRoot, id)
                            .orElseThrow(() -> new IOException("process %d has ended".formatted(id.pid()))));
        } catch (IllegalArgumentException e) {
            throw new IOException("the journal's record of the incoming QEMU is damaged: " + record, e);
        }
    }

    private GuestDefinition definition(UUID uuid) throws IOException {
        return definitions
                .apply(uuid)
                .orElseThrow(() -> new IOException("there is no definition of a guest %s any more".formatted(uuid)));
    }

    private record Started(GuestDefinition definition, IncomingQemu qemu) implements IncomingProcess {
        @Override
        public Path qmp() {
            return definition.qmp();
        }

        @Override
        public OptionalLong pid() {
            return OptionalLong.of(qemu.id().pid());
        }

        @Override
        public Map<String, String> record() {
            return Map.of(
                    "uuid", definition.uuid().toString(),
                    "pid", String.valueOf(qemu.id().pid()),
                    "start-ticks", String.valueOf(qemu.id().startTicks()),
                    "boot", qemu.id().bootId());
        }

        @Override
        public boolean isDead() {
            return !qemu.isAlive();
        }

        @Override
        public void kill() throws IOException {
            try {
                qemu.kill(Optional.empty());
            } catch (GuestException e) {
                throw new IOException(e.getMessage(), e);
            }
        }
    }

    /** Somebody else's process: told to quit, and dead when nobody listens at its socket. */
    private record Waiting(UUID uuid, String name, Path qmp) implements IncomingProcess {
        /** It may keep the connection of its move. */
        private QemuGuest connected() throws QmpConnectionException {
            Optional<QemuGuest> kept = QemuGuest.findKept(name, qmp, pid(), CALL, NOBODY);
            return kept.isPresent() ? kept.get() : QemuGuest.connect(name, qmp, CALL, NOBODY);
        }

        @Override
        public OptionalLong pid() {
            return OptionalLong.empty();
        }

        @Override
        public Map<String, String> record() {
            return Map.of("uuid", uuid.toString(), "name", name, WAITING, qmp.toString());
        }

        @Override
        public boolean isDead() {
            return false;
        }

        @Override
        public void kill() throws IOException {
            try (QemuGuest guest = connected()) {
                guest.quit();
            } catch (QmpClosedException e) {
                // It is gone.
            } catch (QmpConnectionException | QmpException e) {
                throw new IOException("QEMU '%s' at %s does not quit".formatted(name, qmp), e);
            }
        }
    }
}
