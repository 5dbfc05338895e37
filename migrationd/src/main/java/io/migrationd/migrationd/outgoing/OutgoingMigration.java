package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.BitmapSizes;
import io.migrationd.returnpath.ReturnPathDispatcher;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One outgoing precopy migration: owns the thread {@code mig-send-<id>}, its channel and its return path. Until
 * {@link OutgoingRequest#release} was written any failure leaves the guest running here; from then on this copy never
 * runs again by itself, whatever happens (docs/architecture.md, failure table).
 */
public final class OutgoingMigration implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(OutgoingMigration.class);
    private static final long PART_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final long ACK_POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    /** Kept of the downtime limit for the stop, the devices and the destination's start, but never more than half. */
    private static final long END_GAME_MILLIS = 200;

    private static final Duration SHUT_POLL = Duration.ofSeconds(1);
    private static final long JOIN_MILLIS = 10_000;

    private final OutgoingRequest request;
    private final Guest guest;
    private final Thread thread;
    private final RamCounters counters = new RamCounters();
    private final RamSender ram;
    private final long startNanos = System.nanoTime();
    private final BandwidthMeter bandwidth = new BandwidthMeter(startNanos);
    private final Timeline timeline = new Timeline(startNanos);

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // Guarded by lock; written only by transition, fail and the requests of an operator.
    private OutgoingStatus status = OutgoingStatus.SETUP;
    private @Nullable Throwable failure;
    private boolean cancelRequested;
    private boolean continueRequested;
    private boolean released;
    private Links.@Nullable Connecting connecting;
    private @Nullable MigrationChannel channel;

    private @Nullable ReturnPathDispatcher returnPath;
    private boolean guestStopped;

    /** Prepares; {@link #start} begins. */
    public OutgoingMigration(OutgoingRequest request) {
        this.request = request;
        this.guest = request.guest();
        long cacheSize =
                request.has(Capability.XBZRLE) ? request.parameters().get().xbzrleCacheSize() : 0;
        this.ram = new RamSender(guest, cacheSize, counters, this::announcePass, System::nanoTime);
        this.thread = Thread.ofPlatform().name("mig-send-" + request.id()).unstarted(this::run);
    }

    /** Starts the thread; the rest shows in {@link #info} and in events. */
    public void start() {
        announceStatus(OutgoingStatus.SETUP);
        thread.start();
    }

    /** Where it stands. */
    public OutgoingStatus status() {
        lock.lock();
        try {
            return status;
        } finally {
            lock.unlock();
        }
    }

    /** Cancels; the guest goes on here. False if it is too late: the destination may have the guest. */
    public boolean cancel() {
        lock.lock();
        try {
            if (status.isTerminal() || status == OutgoingStatus.CANCELLING) {
                return true;
            }
            if (released) {
                return false;
            }
            cancelRequested = true;
            transition(Event.CANCEL);
            if (connecting != null) {
                connecting.cancel();
            }
            if (channel != null) {
                channel.abort(new IOException("the migration was cancelled"));
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** Lets a migration that waits at the gate go on; false if it does not wait there. */
    public boolean continueSwitchover() {
        lock.lock();
        try {
            if (status != OutgoingStatus.PRE_SWITCHOVER) {
                return false;
            }
            continueRequested = true;
            changed.signalAll();
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** Parameters have changed: whoever waits for bandwidth looks again. */
    public void parametersChanged() {
        lock.lock();
        try {
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Whether the right to run was given up: this copy must not be started any more. */
    public boolean isReleased() {
        lock.lock();
        try {
            return released;
        } finally {
            lock.unlock();
        }
    }

    /** One look at it, from any thread. */
    public MigrationInfo info() {
        OutgoingStatus now;
        String error;
        long sent;
        lock.lock();
        try {
            now = status;
            error = failure == null ? null : Failures.describe(failure);
            sent = channel == null ? 0 : channel.bytesSent();
        } finally {
            lock.unlock();
        }
        return InfoBuilder.build(request, guest, now, error, sent, counters, bandwidth.bytesPerSecond(), timeline);
    }

    /** Whether its thread still uses the guest: also for a moment after the last status. */
    public boolean isBusy() {
        return !status().isTerminal() || thread.isAlive();
    }

    /** Waits until the thread has ended; for stop order and tests. */
    public boolean awaitEnd(long timeoutMillis) throws InterruptedException {
        thread.join(timeoutMillis);
        return !thread.isAlive();
    }

    /** Cancels what can be cancelled and joins the thread. */
    @Override
    public void close() {
        if (!cancel()) {
            // Released: the destination owns the guest. We only stop to listen for its word.
            lock.lock();
            try {
                if (channel != null) {
                    channel.abort(new IOException("the daemon stops"));
                }
            } finally {
                lock.unlock();
            }
        }
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
            migrate(connect());
            timeline.ended();
            guest.releaseAfterMigration();
            transition(Event.COMPLETE);
        } catch (IOException | InterruptedException | RuntimeException | Error e) {
            timeline.ended();
            end(e);
        } finally {
            cleanUp();
        }
    }

    private MigrationChannel connect() throws IOException {
        Links.Connecting attempt = request.links().beginConnect(request.uri());
        lock.lock();
        try {
            connecting = attempt;
            if (cancelRequested) {
                attempt.cancel();
            }
        } finally {
            lock.unlock();
        }
        MigrationChannel opened = attempt.await();
        lock.lock();
        try {
            connecting = null;
            channel = opened;
            failIfEnded();
            return opened;
        } finally {
            lock.unlock();
        }
    }

    private void migrate(MigrationChannel link) throws IOException, InterruptedException {
        PrecopyStream stream = new PrecopyStream(guest, ram, new StreamOutput(link));
        if (request.has(Capability.RETURN_PATH)) {
            returnPath = ReturnPathDispatcher.start(
                    request.id(),
                    new StreamReader(link.input()),
                    link::close,
                    new SourceReturnPath(this::returnPathEnded, this::wake),
                    new GuestPageLimits(guest),
                    BitmapSizes.NONE_AWAITED);
        }
        stream.head(returnPath != null, request.has(Capability.VALIDATE_UUID) ? guest.uuid() : Optional.empty());
        stream.ramStart();
        timeline.setupDone();
        transition(Event.START_SENDING);
        converge(stream, link);
        switchOver(stream);
        finish(stream, link);
    }

    /** Pass after pass until what is left can be sent within the downtime limit. */
    private void converge(PrecopyStream stream, MigrationChannel link) throws IOException, InterruptedException {
        RateLimiter limiter = new RateLimiter(System.nanoTime());
        boolean partSent = false;
        while (true) {
            failIfEnded();
            if (partSent && ram.pendingEstimate() <= threshold() && ram.pendingExact() <= threshold()) {
                if (switchoverAllowed()) {
                    return;
                }
                await(ACK_POLL_NANOS);
                continue;
            }
            sendPart(stream, limiter);
            partSent = true;
            bandwidth.sample(System.nanoTime(), link.bytesSent());
            waitForBandwidth(stream, link, limiter);
        }
    }

    private void sendPart(PrecopyStream stream, RateLimiter limiter) throws IOException {
        long deadline = System.nanoTime() + PART_NANOS;
        long budget = limiter.left(request.parameters().get().maxBandwidth(), stream.position());
        stream.ramPart(sent -> sent < budget && System.nanoTime() < deadline);
    }

    private void waitForBandwidth(PrecopyStream stream, MigrationChannel link, RateLimiter limiter)
            throws IOException, InterruptedException {
        while (true) {
            long now = System.nanoTime();
            long delay = limiter.delayNanos(now, request.parameters().get().maxBandwidth(), stream.position());
            if (delay == 0) {
                return;
            }
            await(delay);
            failIfEnded();
            bandwidth.sample(System.nanoTime(), link.bytesSent());
        }
    }

    /** Bytes that fit into RAM's part of the downtime limit at the speed of the link. */
    private long threshold() {
        MigrationParameters limits = request.parameters().get();
        double speed = limits.availSwitchoverBandwidth() > 0
                ? limits.availSwitchoverBandwidth()
                : bandwidth.sustainedBytesPerSecond();
        long limit = limits.downtimeLimitMillis();
        return (long) (speed * (limit - Math.min(limit / 2, END_GAME_MILLIS)) / 1000);
    }

    private boolean switchoverAllowed() {
        return !request.has(Capability.SWITCHOVER_ACK)
                || returnPath == null
                || returnPath.replies().isSwitchoverAcked()
                || guest.runState() != RunState.RUNNING;
    }

    private void switchOver(PrecopyStream stream) throws IOException, InterruptedException {
        timeline.stopping();
        guestStopped = true;
        boolean wasRunning = guest.runState() == RunState.RUNNING;
        guest.stopForSwitchover();
        timeline.stopped();
        if (wasRunning) {
            announce("STOP", Map.of());
        }
        if (request.has(Capability.PAUSE_BEFORE_SWITCHOVER)) {
            transition(Event.REACH_GATE);
            awaitContinue();
        }
        transition(Event.SWITCH_OVER);
        timeline.gatePassed(channelBytes());
        stream.ramEnd();
        timeline.lastPassSent();
        stream.devices();
        timeline.devicesSent();
    }

    /**
     * The end game. Everything but the last byte is at the destination and was loaded (PONG) before the right to run is
     * given up; the destination can't start the guest without that byte.
     */
    private void finish(PrecopyStream stream, MigrationChannel link) throws IOException, InterruptedException {
        if (returnPath != null) {
            stream.pingLoaded();
            awaitLoaded(returnPath);
        } else {
            stream.drain();
        }
        release();
        stream.end();
        bandwidth.sample(System.nanoTime(), link.bytesSent());
        if (returnPath != null) {
            awaitShut(returnPath);
        } else {
            link.shutdownOutput();
        }
    }

    private void awaitLoaded(ReturnPathDispatcher replies) throws IOException, InterruptedException {
        try {
            replies.replies().awaitPong(StreamPings.LOADED, Duration.ofMillis(request.replyTimeoutMillis()));
        } catch (TimeoutException e) {
            throw new IOException(
                    "the destination has not loaded the device state within %d ms"
                            .formatted(request.replyTimeoutMillis()),
                    e);
        }
    }

    private void release() throws IOException {
        lock.lock();
        try {
            failIfEnded();
            request.release().write();
            released = true;
        } finally {
            lock.unlock();
        }
    }

    /** Without limit: giving up would not make the guest run anywhere. A dead link ends the wait. */
    private void awaitShut(ReturnPathDispatcher replies) throws IOException, InterruptedException {
        while (true) {
            try {
                int code = replies.replies().awaitShut(SHUT_POLL);
                if (code != 0) {
                    throw new IOException("the destination reported failure " + code + " after it had the whole guest");
                }
                return;
            } catch (TimeoutException e) {
                log.atDebug().addKeyValue("session", request.id()).log("waiting for SHUT");
            }
        }
    }

    private void awaitContinue() throws IOException, InterruptedException {
        lock.lock();
        try {
            while (!continueRequested) {
                failIfEnded();
                changed.await();
            }
        } finally {
            lock.unlock();
        }
    }

    /** Waits until {@code nanos} have passed, parameters have changed or something ended; each caller looks again. */
    @SuppressWarnings("WaitNotInLoop") // Every call stands in its caller's loop, which waking early does no harm.
    private void await(long nanos) throws InterruptedException {
        lock.lock();
        try {
            if (!cancelRequested && failure == null) {
                changed.awaitNanos(nanos);
            }
        } finally {
            lock.unlock();
        }
    }

    private void failIfEnded() throws IOException {
        lock.lock();
        try {
            if (cancelRequested) {
                throw new IOException("the migration was cancelled");
            }
            if (failure != null) {
                throw new IOException("the return path failed", failure);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Return-path thread. A source that goes on without its return path may end with two running guests. */
    private void returnPathEnded(IOException cause) {
        lock.lock();
        try {
            if (!status.isTerminal() && failure == null) {
                failure = cause;
            }
            changed.signalAll();
            if (channel != null && !released) {
                channel.abort(cause);
            }
        } finally {
            lock.unlock();
        }
    }

    private void wake() {
        parametersChanged();
    }

    private void end(Throwable cause) {
        boolean cancelled;
        boolean inDoubt;
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
            cancelled = cancelRequested;
            inDoubt = released;
        } finally {
            lock.unlock();
        }
        if (inDoubt) {
            log.atError()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .setCause(cause)
                    .log("the destination may have the guest: this copy stays stopped");
        } else {
            goOnHere(cancelled, cause);
        }
        transition(cancelled ? Event.STOPPED : Event.FAIL);
    }

    private void goOnHere(boolean cancelled, Throwable cause) {
        if (!cancelled) {
            log.atError()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .setCause(cause)
                    .log("migration failed; the guest stays here");
        }
        lock.lock();
        try {
            if (channel != null) {
                // The destination must not get another byte: with the last one it could start the guest.
                channel.abort(new IOException("the migration ended here"));
            }
        } finally {
            lock.unlock();
        }
        if (!guestStopped) {
            return;
        }
        try {
            guest.resumeAfterFailure();
            if (guest.runState() == RunState.RUNNING) {
                announce("RESUME", Map.of());
            }
        } catch (IOException e) {
            cause.addSuppressed(e);
            log.atError().addKeyValue("guest", guest.name()).setCause(e).log("the guest does not go on");
        }
    }

    private void cleanUp() {
        MigrationChannel opened;
        lock.lock();
        try {
            opened = channel;
        } finally {
            lock.unlock();
        }
        if (returnPath != null) {
            try {
                returnPath.close();
            } catch (IOException | IllegalStateException e) {
                log.atWarn().addKeyValue("session", request.id()).setCause(e).log("return path not closed");
            }
        }
        if (opened != null) {
            opened.close();
            Links.releaseInput(opened);
        }
        ram.cleanup();
    }

    private long channelBytes() {
        lock.lock();
        try {
            return channel == null ? 0 : channel.bytesSent();
        } finally {
            lock.unlock();
        }
    }

    private void transition(Event event) {
        OutgoingStatus from;
        OutgoingStatus to;
        lock.lock();
        try {
            from = status;
            boolean cancelling = from == OutgoingStatus.CANCELLING;
            if (cancelling && event != Event.STOPPED && event != Event.FAIL) {
                // The cancel won; the thread notices at its next step.
                return;
            }
            // A cancel that came while a failure was being handled has what it wanted.
            to = from.next(cancelling ? Event.STOPPED : event);
            status = to;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .addKeyValue("from", from.qmpName())
                .addKeyValue("to", to.qmpName())
                .log("state changed");
        announceStatus(to);
    }

    private void announceStatus(OutgoingStatus to) {
        announce("MIGRATION", Map.of("status", to.qmpName()));
    }

    private void announcePass() {
        announce("MIGRATION_PASS", Map.of("pass", counters.dirtySyncs.get()));
    }

    private void announce(String event, Map<String, Object> data) {
        request.events().event(guest.name(), event, data);
    }
}
