package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpEvents;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** A {@link QmpMonitor} of the daemon, with one deadline for all commands and a queue of its events. */
public final class QmpClient implements AutoCloseable {
    /** How long a connection and a command may take. Commands only start work, so this is long. */
    public static final Duration CALL_TIMEOUT = Duration.ofSeconds(10);

    private final Path socket;
    private final Duration callTimeout;
    private final QmpMonitor monitor;
    private final QmpEvents events;

    private QmpClient(Path socket, Duration callTimeout, QmpMonitor monitor, QmpEvents events) {
        this.socket = socket;
        this.callTimeout = callTimeout;
        this.monitor = monitor;
        this.events = events;
    }

    /** Connects and negotiates, with out-of-band execution where the daemon offers it. */
    public static QmpClient connect(Path socket) throws DaemonUnreachableException {
        return connect(socket, CALL_TIMEOUT);
    }

    /** The same with another deadline for the connection and for each command. */
    public static QmpClient connect(Path socket, Duration callTimeout) throws DaemonUnreachableException {
        QmpEvents events = new QmpEvents();
        try {
            return new QmpClient(
                    socket, callTimeout, QmpMonitor.connect("daemon", socket, callTimeout, events), events);
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        }
    }

    /** What the daemon said first: its version and what it can do. */
    public JsonObject greeting() {
        return monitor.greeting();
    }

    /** Executes a command and returns what it returned: a map, a list, a string, a number, a flag or nothing. */
    public @Nullable Object execute(String command, Map<String, ?> arguments)
            throws QmpException, DaemonUnreachableException {
        try {
            return monitor.execute(command, arguments, callTimeout);
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        }
    }

    /** A command that returns an object. */
    public JsonObject query(String command, Map<String, ?> arguments) throws QmpException, DaemonUnreachableException {
        try {
            return monitor.query(command, arguments, callTimeout);
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        }
    }

    /** A command that returns an array of objects. */
    public List<JsonObject> queryList(String command, Map<String, ?> arguments)
            throws QmpException, DaemonUnreachableException {
        try {
            return monitor.queryList(command, arguments, callTimeout);
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        }
    }

    /** Sends one message as it is and returns the first reply that comes, an error too. */
    public String exchange(String message) throws DaemonUnreachableException {
        try {
            return monitor.exchange(message, callTimeout);
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        }
    }

    /**
     * The next event, or nothing if none came in that time. Events that nobody takes are kept up to a bound, then the
     * oldest go.
     */
    public Optional<QmpEvent> nextEvent(Duration timeout) throws DaemonUnreachableException {
        try {
            return events.await(System.nanoTime() + timeout.toNanos());
        } catch (QmpConnectionException e) {
            throw new DaemonUnreachableException(socket, e.what(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DaemonUnreachableException(socket, "interrupted while waiting for it", e);
        }
    }

    /** Closes the connection and ends its thread. */
    @Override
    public void close() {
        monitor.close();
    }
}
