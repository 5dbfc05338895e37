package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.returnpath.BitmapSizes;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One outgoing migration: owns the thread {@code mig-send-<id>}, its connection and its return path. Until the right to
 * run was given up by {@link OutgoingRequest#release} any failure leaves the guest running here; from then on this copy
 * never runs again by itself, unless the destination says that it never ran the guest and never will
 * (docs/architecture.md, failure table).
 */
public final class OutgoingMigration implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(OutgoingMigration.class);
    private static final long JOIN_MILLIS = 10_000;

    private final OutgoingRequest request;
    private final Guest guest;
    private final boolean reopened;
    private final long earlierBreaks;
    private final OutgoingState state;
    private final OutgoingParts parts;
    private final Dialer dialer;
    /** Present with capability postcopy-ram. */
    private final @Nullable Postcopy postcopy;

    private final Thread thread;

    /** Prepares; {@link #start} begins. */
    public OutgoingMigration(OutgoingRequest request) {
        this(request, OutgoingStatus.SETUP, 0);
    }

    private OutgoingMigration(OutgoingRequest request, OutgoingStatus first, long earlierBreaks) {
        this.request = request;
        this.guest = request.guest();
        this.reopened = first.isPostcopy();
        this.earlierBreaks = earlierBreaks;
        this.state = new OutgoingState(request, first);
        this.dialer = new Dialer(request, state);
        RamCounters counters = new RamCounters();
        boolean mayPostcopy = reopened || request.has(Capability.POSTCOPY_RAM);
        long cacheSize = request.has(Capability.XBZRLE) && !reopened
                ? request.parameters().get().xbzrleCacheSize()
                : 0;
        RamSender ram =
                new RamSender(guest, mayPostcopy, cacheSize, counters, () -> announcePass(counters), System::nanoTime);
        long startNanos = System.nanoTime();
        Timeline timeline = new Timeline(startNanos);
        this.parts = new OutgoingParts(
                request,
                state,
                ram,
                counters,
                new BandwidthMeter(startNanos),
                timeline,
                new Switchover(request, state, timeline));
        this.postcopy = mayPostcopy ? new Postcopy(request, ram, state.wakeup()) : null;
        this.thread = Thread.ofPlatform().name("mig-send-" + request.id()).unstarted(this::run);
    }

    /**
     * Goes on with postcopy that a daemon before this one has begun: the guest was given away, what the destination has
     * is asked of it. Begins in {@code postcopy-paused}; {@link #start} begins to reconnect.
     *
     * @param breaks how often its connection had broken before
     */
    public static OutgoingMigration reopen(OutgoingRequest request, long breaks) {
        return new OutgoingMigration(request, OutgoingStatus.POSTCOPY_PAUSED, breaks);
    }

    /** Starts the thread; the rest shows in {@link #info} and in events. */
    public void start() {
        state.announceStatus(state.status());
        thread.start();
    }

    /** Where it stands. */
    public OutgoingStatus status() {
        return state.status();
    }

    /** Cancels; the guest goes on here. False if it is too late: the destination may have the guest. */
    public boolean cancel() {
        return state.cancel();
    }

    /** Lets a migration that waits at the gate go on; false if it does not wait there. */
    public boolean continueSwitchover() {
        return state.continueSwitchover();
    }

    /** Goes over to postcopy at the next opportunity. Empty if accepted, else why not. */
    public Optional<String> startPostcopy() {
        if (postcopy == null) {
            return Optional.of("capability 'postcopy-ram' was off when the migration started");
        }
        if (request.parameters().get().postcopyPolicy() == PostcopyPolicy.NEVER) {
            return Optional.of("parameter 'postcopy-policy' is 'never'");
        }
        return state.startPostcopy();
    }

    /** Breaks postcopy's connection; it stays paused until {@link #resume}. Empty if accepted, else why not. */
    public Optional<String> pause() {
        return state.pause();
    }

    /**
     * Reconnects paused postcopy by way of {@code uri}, now and whenever it breaks later. Empty if accepted, else why
     * not.
     */
    public Optional<String> resume(MigrationUri uri) {
        return state.resume(uri);
    }

    /** Parameters have changed: whoever waits for bandwidth looks again. */
    public void parametersChanged() {
        state.wakeup().raise();
    }

    /** Whether the right to run was given up: this copy must not be started any more. */
    public boolean isReleased() {
        return state.isReleased();
    }

    /** One look at it, from any thread. */
    public MigrationInfo info() {
        return InfoBuilder.build(parts, postcopy == null ? null : postcopy.info());
    }

    /** Whether its thread still uses the guest: also for a moment after the last status. */
    public boolean isBusy() {
        return thread.isAlive() || !(state.status().isTerminal() || state.isStopping());
    }

    /** Waits until the thread has ended; for stop order and tests. */
    public boolean awaitEnd(long timeoutMillis) throws InterruptedException {
        thread.join(timeoutMillis);
        return !thread.isAlive();
    }

    /**
     * Cancels what can be cancelled and joins the thread. Postcopy is left as it is: the destination owns the guest,
     * and {@link #reopen} goes on.
     */
    @Override
    public void close() {
        state.stop();
        try {
            if (!awaitEnd(JOIN_MILLIS)) {
                Throwable where = new IllegalStateException("thread " + thread.getName() + " did not stop");
                where.setStackTrace(thread.getStackTrace());
                log.atError()
                        .addKeyValue("session", request.id())
                        .setCause(where)
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void run() {
        try {
            switch (migrate()) {
                case COMPLETE -> complete();
                case TAKEN_BACK -> endHere();
                case STOPPED, PAUSED ->
                    log.atInfo()
                            .addKeyValue("session", request.id())
                            .addKeyValue("guest", guest.name())
                            .log("postcopy is left to the next daemon");
            }
        } catch (IOException | InterruptedException | RuntimeException | Error e) {
            parts.timeline().ended();
            end(e);
        } finally {
            cleanUp();
        }
    }

    private PostcopyOutcome migrate() throws IOException, InterruptedException {
        if (postcopy == null) {
            SourceConnection connection = dialer.connect();
            if (request.has(Capability.RETURN_PATH)) {
                connection.startReturnPath(
                        new SourceReturnPath(cause -> failed(connection, cause), state.wakeup()::raise),
                        new GuestPageLimits(guest),
                        BitmapSizes.NONE_AWAITED);
            }
            precopy(connection);
            return PostcopyOutcome.COMPLETE;
        }
        Recovery recovery = new Recovery(parts, postcopy, dialer, ThreadLocalRandom.current());
        PostcopyPhase phase = new PostcopyPhase(parts, postcopy, recovery);
        if (reopened) {
            parts.ram().pages().setAll();
            parts.ram().resumePrepare();
            return phase.takeOver(earlierBreaks);
        }
        SourceConnection connection = dialer.connect();
        PostcopyReturnPath returnPath = new PostcopyReturnPath(connection, postcopy);
        returnPath.start();
        if (postcopy.isPreempting() && postcopy.preemptStyle() == PreemptStyle.FROM_THE_START) {
            dialer.connectUrgent(connection);
        }
        if (precopy(connection) == PrecopyPhase.Next.LAST_PASS) {
            return PostcopyOutcome.COMPLETE;
        }
        PostcopySwitch change = new PostcopySwitch(parts, postcopy, dialer, connection);
        byte[] blob = change.prepare();
        return phase.run(connection, returnPath, () -> change.handOver(blob));
    }

    /** Sends the guest while it runs, and its end unless that is left to postcopy. */
    private PrecopyPhase.Next precopy(SourceConnection connection) throws IOException, InterruptedException {
        PrecopyStream stream = new PrecopyStream(guest, parts.ram(), connection.out(), request.original());
        stream.head(
                connection.hasReturnPath(),
                Optional.ofNullable(postcopy).map(Postcopy::pageSizes),
                request.has(Capability.VALIDATE_UUID) ? guest.uuid() : Optional.empty());
        stream.ramStart();
        parts.timeline().setupDone();
        state.transition(Event.START_SENDING);
        PrecopyPhase phase = new PrecopyPhase(parts, connection, stream);
        PrecopyPhase.Next next = phase.converge();
        if (next == PrecopyPhase.Next.LAST_PASS) {
            phase.complete();
        }
        return next;
    }

    /** Return-path thread. A source that goes on without its return path may end with two running guests. */
    private void failed(SourceConnection connection, IOException cause) {
        connection.fail(cause);
        state.wakeup().raise();
    }

    private void complete() {
        parts.timeline().ended();
        guest.releaseAfterMigration();
        if (state.status().isPostcopy()) {
            request.release().postcopyEnded();
            state.recovered();
        }
        state.transition(Event.COMPLETE);
    }

    /** The destination has said that it never ran the guest. */
    private void endHere() {
        parts.timeline().ended();
        request.release().postcopyEnded();
        state.recovered();
        end(new IOException("the destination never ran the guest and never will: it goes on here"));
    }

    private void end(Throwable cause) {
        IOException broken =
                state.connection().flatMap(SourceConnection::failure).orElse(null);
        state.failed(broken == null ? cause : broken);
        boolean cancelled = state.isCancelled();
        if (state.isReleased()) {
            log.atError()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .setCause(cause)
                    .log("the destination may have the guest: this copy stays stopped");
        } else {
            goOnHere(cancelled, cause);
        }
        state.transition(cancelled ? Event.STOPPED : Event.FAIL);
    }

    private void goOnHere(boolean cancelled, Throwable cause) {
        if (!cancelled) {
            log.atError()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .setCause(cause)
                    .log("migration failed; the guest stays here");
        }
        // The destination must not get another byte: with the last one it could start the guest.
        state.connection().ifPresent(open -> open.abort(new IOException("the migration ended here")));
        try {
            if (reopened) {
                parts.switchover().startAgain();
            } else {
                parts.switchover().goOnHere();
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
            log.atError().addKeyValue("guest", guest.name()).setCause(e).log("the guest does not go on");
        }
    }

    private void cleanUp() {
        state.connection().ifPresent(SourceConnection::close);
        parts.ram().cleanup();
    }

    private void announcePass(RamCounters counters) {
        state.announce("MIGRATION_PASS", Map.of("pass", counters.dirtySyncs.get()));
    }
}
