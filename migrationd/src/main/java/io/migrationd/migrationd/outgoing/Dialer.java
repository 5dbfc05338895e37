package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.MigrationUri;
import java.io.IOException;

/** Connects with the destination, so that whoever ends the migration ends the attempt. Migration thread. */
final class Dialer {
    private static final long LEAST_REDIAL_MILLIS = 1_000;

    private final OutgoingRequest request;
    private final OutgoingState state;
    /** Where the last main connection went. */
    private MigrationUri dialled;

    Dialer(OutgoingRequest request, OutgoingState state) {
        this.request = request;
        this.state = state;
        this.dialled = state.uri();
    }

    /** The first connection; waits as long as connections of this host do. */
    SourceConnection connect() throws IOException {
        dialled = state.uri();
        return opened(dial(request.links().beginConnect(dialled)));
    }

    /**
     * A connection in place of one that broke. A try that gets no answer must not take longer than the next is away.
     */
    SourceConnection reconnect() throws IOException {
        dialled = state.uri();
        return opened(dial(request.links().beginConnect(dialled, redialMillis())));
    }

    /** Adds a channel of urgent pages to the first connection. */
    void connectUrgent(SourceConnection connection) throws IOException {
        addUrgent(connection, dial(request.links().beginConnect(dialled)));
    }

    /**
     * The same to a later one. It goes where that went, even if an operator has named another address since: there it
     * would be the first connection, and a QEMU would take it for the main one.
     */
    void reconnectUrgent(SourceConnection connection) throws IOException {
        addUrgent(connection, dial(request.links().beginConnect(dialled, redialMillis())));
    }

    private void addUrgent(SourceConnection connection, MigrationChannel channel) throws IOException {
        channel.deadPeerTimeout(request.recovery().deadPeerMillis());
        connection.addUrgent(channel);
    }

    private long redialMillis() {
        return Math.max(LEAST_REDIAL_MILLIS, request.recovery().maxIntervalMillis());
    }

    private MigrationChannel dial(Links.Connecting attempt) throws IOException {
        state.connecting(attempt);
        try {
            return attempt.await();
        } finally {
            state.noLongerConnecting();
        }
    }

    private SourceConnection opened(MigrationChannel main) throws IOException {
        SourceConnection connection = new SourceConnection(request.id(), request.links(), main);
        try {
            state.connected(connection);
            return connection;
        } catch (IOException e) {
            connection.close();
            state.disconnected();
            throw e;
        }
    }
}
