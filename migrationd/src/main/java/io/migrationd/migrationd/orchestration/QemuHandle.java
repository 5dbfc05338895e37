package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.guest.qemu.QemuRunState;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.Vcpus;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import java.net.ConnectException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The QEMU of a move: connected as long as it lives, and connected again when only the connection was lost. Counts as
 * dead only when nobody listens at its socket any more, or its process is known and gone. For the thread of one move.
 */
final class QemuHandle implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(QemuHandle.class);
    private static final Duration CALL = Duration.ofSeconds(5);
    /** For what is asked again soon: meanwhile the move does nothing else. */
    private static final Duration LOOK = Duration.ofSeconds(3);

    private final String name;
    private final Path socket;
    private final BooleanSupplier processIsDead;
    private final Consumer<QmpEvent> events;
    private final Runnable stirred;
    private Optional<Keeping> keeping;
    private boolean mayBeKept;
    private @Nullable QemuGuest guest;
    /** What the last MIGRATION event of this connection said; written by the connection's thread, too. */
    private volatile QemuStatus announced = QemuStatus.UNKNOWN;

    /**
     * Does not connect yet.
     *
     * @param processIsDead where the process is known; else constantly false
     * @param events of QEMU, called by the connection's thread
     * @param stirred something has changed: it is worth a look
     */
    QemuHandle(String name, Path socket, BooleanSupplier processIsDead, Consumer<QmpEvent> events, Runnable stirred) {
        this(name, socket, processIsDead, events, stirred, Optional.empty());
    }

    QemuHandle(
            String name,
            Path socket,
            BooleanSupplier processIsDead,
            Consumer<QmpEvent> events,
            Runnable stirred,
            Optional<Keeping> keeping) {
        this.keeping = keeping;
        this.mayBeKept = keeping.isPresent() && keeping.get().earlier();
        this.name = name;
        this.socket = socket;
        this.processIsDead = processIsDead;
        this.events = events;
        this.stirred = stirred;
    }

    /**
     * How the connection is to outlive the daemon: for a QEMU whose main loop may hang until it is recovered.
     *
     * @param pid of the QEMU, if it is known
     * @param earlier whether an earlier daemon may have left one
     */
    record Keeping(OptionalLong pid, boolean earlier) {}

    /** What one look shows. */
    sealed interface Look {
        /** Both answers, in this order. */
        record Said(QemuMigration migration, QemuRunState run) implements Look {
            QemuFact fact() {
                Vcpus vcpus = run.running() ? Vcpus.RUNNING : Vcpus.parse(run.name());
                return new QemuFact(QemuStatus.parse(migration.statusText()), vcpus);
            }
        }

        /** It lives and does not answer now. */
        record Busy(String why) implements Look {}

        /** Its process is dead. */
        record Gone(String why) implements Look {}
    }

    /** The connection, made if there is none. */
    QemuGuest guest() throws QmpConnectionException, QmpException {
        QemuGuest connected = guest;
        if (connected == null) {
            QmpMonitor.Listener listener = new QmpMonitor.Listener() {
                @Override
                public void event(QmpEvent event) {
                    if (event.name().equals("MIGRATION")) {
                        event.data().text("status").ifPresent(status -> announced = QemuStatus.parse(status));
                    }
                    events.accept(event);
                    stirred.run();
                }

                @Override
                public void closed(QmpClosedException cause) {
                    stirred.run();
                }
            };
            announced = QemuStatus.UNKNOWN;
            connected = keeping.isPresent()
                    ? connectForGood(keeping.get().pid(), listener)
                    : QemuGuest.connect(name, socket, CALL, listener);
            guest = connected;
            if (connected.wasKept()) {
                // Its settings, too; and its QEMU may answer nothing now.
                return connected;
            }
            // Migration events come only to who asks for them; QEMU refuses while a migration runs, and polls remain.
            try {
                var _ = connected.setCapabilities(Map.of("events", true));
            } catch (QmpException e) {
                log.atDebug().addKeyValue("guest", name).setCause(e).log("migration events stay as they are");
            }
        }
        return connected;
    }

    private QemuGuest connectForGood(OptionalLong pid, QmpMonitor.Listener listener)
            throws QmpException, QmpConnectionException {
        if (mayBeKept) {
            Optional<QemuGuest> kept = QemuGuest.findKept(name, socket, pid, CALL, listener);
            if (kept.isPresent()) {
                return kept.get();
            }
        }
        // From now on also after a connection that was broken off by this side.
        mayBeKept = true;
        return QemuGuest.connectForGood(name, socket, pid, CALL, listener);
    }

    /**
     * The migration's status by the last event: of use where QEMU answers to nothing, for it announces also what it is
     * not yet. {@code UNKNOWN} if this connection has brought none.
     */
    QemuStatus announced() {
        return announced;
    }

    /** Asks for the migration's status and then for the run state. */
    Look look() {
        try {
            QemuGuest connected = guest();
            if (connected.hangs()) {
                return new Look.Busy("it has not answered to an earlier question");
            }
            QemuMigration migration = connected.queryMigrate(LOOK);
            return new Look.Said(migration, connected.status(LOOK));
        } catch (QmpClosedException e) {
            drop();
            return isDead()
                    ? new Look.Gone(String.valueOf(e.getMessage()))
                    : new Look.Busy(String.valueOf(e.getMessage()));
        } catch (QmpConnectionException e) {
            return new Look.Busy(String.valueOf(e.getMessage()));
        } catch (QmpException e) {
            return new Look.Busy(String.valueOf(e.getMessage()));
        }
    }

    /** Whether it is certain that no vCPU of it runs any more. */
    boolean isDead() {
        if (processIsDead.getAsBoolean()) {
            return true;
        }
        if (!Files.exists(socket)) {
            return true;
        }
        try (var probe = java.nio.channels.SocketChannel.open(java.net.StandardProtocolFamily.UNIX)) {
            // A process closes its sockets when its last thread is gone. Where others wait already, this would wait,
            // too.
            probe.configureBlocking(false);
            boolean _ = probe.connect(java.net.UnixDomainSocketAddress.of(socket));
            return false;
        } catch (ConnectException | NoSuchFileException e) {
            return true;
        } catch (java.net.SocketException e) {
            String text = String.valueOf(e.getMessage());
            return text.contains("refused") || text.contains("No such file");
        } catch (java.io.IOException e) {
            return false;
        }
    }

    /** Closes the connection also where it is kept, if it is: later ones are not kept. */
    void giveUp() {
        if (keeping.isEmpty()) {
            return;
        }
        Optional<QemuGuest> kept = Optional.ofNullable(guest);
        guest = null;
        if (kept.isEmpty() && mayBeKept) {
            try {
                kept = QemuGuest.findKept(name, socket, keeping.get().pid(), CALL, nobody());
            } catch (QmpConnectionException e) {
                log.atWarn()
                        .addKeyValue("guest", name)
                        .addKeyValue("socket", socket)
                        .setCause(e)
                        .log("QEMU may keep the daemon's connection and then serves nobody else at this socket");
            }
        }
        kept.ifPresent(found -> found.giveUp(LOOK));
        keeping = Optional.empty();
        mayBeKept = false;
    }

    private static QmpMonitor.Listener nobody() {
        return new QmpMonitor.Listener() {
            @Override
            public void event(QmpEvent event) {
                // Only to be closed.
            }

            @Override
            public void closed(QmpClosedException cause) {
                // Nobody waits for anything.
            }
        };
    }

    private void drop() {
        QemuGuest old = guest;
        guest = null;
        if (old != null) {
            old.close();
        }
    }

    @Override
    public void close() {
        drop();
    }
}
