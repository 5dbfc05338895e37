package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.incoming.IncomingStatus.Event;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.protocol.vmstate.OpaqueSectionReader;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One incoming migration: listens, takes the first connection, owns the thread {@code mig-load-<id>}. Whatever fails
 * before the guest is whole leaves nothing of it here and is told to the source by SHUT(1).
 */
public final class IncomingMigration implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(IncomingMigration.class);
    private static final long JOIN_MILLIS = 10_000;
    private static final long NANOS_PER_MILLI = 1_000_000;

    private final IncomingRequest request;
    private final Guest guest;
    private final ReentrantLock lock = new ReentrantLock();
    private final Links.Listener listener;
    // Guarded by lock.
    private IncomingStatus status = IncomingStatus.SETUP;
    private @Nullable Throwable failure;
    private @Nullable MigrationChannel channel;
    private @Nullable Thread thread;
    private long connectedNanos;
    private long endedNanos;
    private boolean committing;

    private volatile @Nullable StreamLoader loader;

    private IncomingMigration(IncomingRequest request) throws IOException {
        this.request = request;
        this.guest = request.guest();
        // A connection that comes at once waits in accepted() until the listener is known.
        lock.lock();
        try {
            this.listener = request.links().listen(request.uri(), this::accepted);
        } finally {
            lock.unlock();
        }
    }

    /** Starts to listen. The event {@code MIGRATION setup} is announced. */
    public static IncomingMigration listen(IncomingRequest request) throws IOException {
        IncomingMigration migration = new IncomingMigration(request);
        migration.announce(IncomingStatus.SETUP);
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", request.guest().name())
                .addKeyValue("uri", migration.listener.uri())
                .log("listening for a migration");
        return migration;
    }

    /** Where it listens, with the real port. */
    public MigrationUri uri() {
        return listener.uri();
    }

    /** Where it stands. */
    public IncomingStatus status() {
        lock.lock();
        try {
            return status;
        } finally {
            lock.unlock();
        }
    }

    /** Stops it; nothing of the guest stays here. False if it is too late: the guest is being started. */
    public boolean cancel() {
        lock.lock();
        try {
            if (status.isTerminal()) {
                return true;
            }
            StreamLoader reading = loader;
            if (committing || (reading != null && reading.hasPromised())) {
                return false;
            }
            transition(Event.CANCEL);
            if (channel != null) {
                channel.abort(new IOException("the incoming migration was cancelled"));
            }
        } finally {
            lock.unlock();
        }
        listener.close();
        return true;
    }

    /** One look at it, from any thread. */
    public MigrationInfo info() {
        lock.lock();
        try {
            boolean connected = connectedNanos != 0;
            long end = endedNanos == 0 ? System.nanoTime() : endedNanos;
            return new MigrationInfo(
                    status.qmpName(),
                    connected ? Long.valueOf((end - connectedNanos) / NANOS_PER_MILLI) : null,
                    null,
                    null,
                    null,
                    null,
                    counters(),
                    null,
                    null,
                    failure == null ? null : Failures.describe(failure),
                    List.of(),
                    status == IncomingStatus.SETUP ? List.of(listener.uri().toString()) : List.of());
        } finally {
            lock.unlock();
        }
    }

    /** Whether it still uses the guest: a cancelled one until what came is thrown away. */
    public boolean isBusy() {
        lock.lock();
        try {
            return !status.isTerminal() || (thread != null && thread.isAlive());
        } finally {
            lock.unlock();
        }
    }

    /** Waits until the loading thread has ended; true if none runs. */
    public boolean awaitEnd(long timeoutMillis) throws InterruptedException {
        Thread running;
        lock.lock();
        try {
            running = thread;
        } finally {
            lock.unlock();
        }
        if (running == null) {
            return status().isTerminal();
        }
        running.join(timeoutMillis);
        return !running.isAlive();
    }

    @Override
    public void close() {
        listener.close();
        if (!cancel()) {
            log.atWarn().addKeyValue("session", request.id()).log("waiting for the guest's start to finish");
        }
        try {
            if (!awaitEnd(JOIN_MILLIS)) {
                log.atError().addKeyValue("session", request.id()).log("loading thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Event loop: must not block. Only the first connection is the source; others are turned away. */
    private void accepted(MigrationChannel opened) {
        lock.lock();
        try {
            if (status != IncomingStatus.SETUP || channel != null) {
                log.atWarn()
                        .addKeyValue("session", request.id())
                        .addKeyValue("peer", opened.peer())
                        .log("extra connection refused");
                opened.abort(new IOException("a migration is under way on another connection"));
                return;
            }
            channel = opened;
            connectedNanos = System.nanoTime();
            Thread reader = Thread.ofPlatform().name("mig-load-" + request.id()).unstarted(() -> run(opened));
            thread = reader;
            transition(Event.CONNECT);
            opened.failIfSilent(request.peerSilenceMillis());
            reader.start();
        } finally {
            lock.unlock();
        }
    }

    private void run(MigrationChannel link) {
        ReturnPathSender returnPath = new ReturnPathSender();
        IncomingGuest incoming = null;
        StreamLoader reading = null;
        try {
            listener.close();
            incoming = guest.beginIncoming();
            reading = new StreamLoader(
                    guest,
                    incoming,
                    request.capabilities(),
                    returnPath,
                    bytes -> link.writeSmall(copy(bytes)),
                    new OpaqueSectionReader(request.deviceStateBytes(), request.deviceStateBytes(), true));
            loader = reading;
            StreamLoader.Loaded loaded = reading.load(new StreamReader(link.input()));
            commit(incoming, loaded);
            succeed(returnPath, reading);
        } catch (IOException | RuntimeException | Error e) {
            fail(e, incoming, returnPath, reading);
        } finally {
            if (reading != null) {
                reading.close();
            }
            link.close();
            Links.releaseInput(link);
        }
    }

    private void commit(IncomingGuest incoming, StreamLoader.Loaded loaded) throws IOException {
        lock.lock();
        try {
            if (status.isTerminal()) {
                throw new IOException("the incoming migration was cancelled");
            }
            committing = true;
        } finally {
            lock.unlock();
        }
        request.acceptance().write();
        incoming.commit(loaded.devices(), loaded.state());
    }

    private void succeed(ReturnPathSender returnPath, StreamLoader reading) {
        if (guest.runState() == RunState.RUNNING) {
            request.events().event(guest.name(), "RESUME", Map.of());
        }
        end(Event.COMPLETE, null);
        if (reading.isReturnPathOpen()) {
            shut(returnPath, 0);
        }
    }

    private void fail(
            Throwable cause,
            @Nullable IncomingGuest incoming,
            ReturnPathSender returnPath,
            @Nullable StreamLoader reading) {
        boolean mayRunHere = incoming != null && incoming.mayRun();
        try {
            if (incoming != null && !mayRunHere) {
                incoming.abort();
            }
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        } finally {
            conclude(cause, mayRunHere);
        }
        // A source that hears SHUT(1) may believe that its copy is the only one: in doubt it must not hear it.
        if (reading != null && reading.isReturnPathOpen() && !mayRunHere) {
            shut(returnPath, 1);
        }
    }

    private void conclude(Throwable cause, boolean mayRunHere) {
        if (status().isTerminal()) {
            log.atInfo().addKeyValue("session", request.id()).log("incoming migration cancelled");
            return;
        }
        Throwable shown = mayRunHere
                ? new IOException(
                        "the guest was handed to its process and may run here: look at its run state before the source takes it back",
                        cause)
                : cause;
        log.atError()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .setCause(shown)
                .log(mayRunHere ? "incoming migration in doubt" : "incoming migration failed; nothing of it is kept");
        end(Event.FAIL, shown);
    }

    private void shut(ReturnPathSender returnPath, int code) {
        try {
            returnPath.sendShut(code);
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("session", request.id())
                    .addKeyValue("code", code)
                    .setCause(e)
                    .log("the source was not told how it ended");
        }
    }

    private void end(Event event, @Nullable Throwable cause) {
        lock.lock();
        try {
            failure = cause;
            endedNanos = System.nanoTime();
            transition(event);
        } finally {
            lock.unlock();
        }
    }

    private void transition(Event event) {
        IncomingStatus from;
        IncomingStatus to;
        lock.lock();
        try {
            from = status;
            to = from.next(event);
            status = to;
        } finally {
            lock.unlock();
        }
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .addKeyValue("from", from.qmpName())
                .addKeyValue("to", to.qmpName())
                .log("state changed");
        announce(to);
    }

    private void announce(IncomingStatus to) {
        request.events().event(guest.name(), "MIGRATION", Map.of("status", to.qmpName()));
    }

    private MigrationInfo.@Nullable RamCounters counters() {
        StreamLoader reading = loader;
        MigrationChannel link = channel;
        if (reading == null || link == null) {
            return null;
        }
        return reading.ram()
                .map(ram -> new MigrationInfo.RamCounters(
                        link.bytesReceived(),
                        0,
                        ram.totalBytes(),
                        ram.zeroPages(),
                        ram.normalPages(),
                        ram.normalPages() * guest.targetPageSizeBytes(),
                        0,
                        0,
                        0,
                        0,
                        guest.targetPageSizeBytes(),
                        0,
                        0,
                        0))
                .orElse(null);
    }

    private static byte[] copy(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return copy;
    }
}
