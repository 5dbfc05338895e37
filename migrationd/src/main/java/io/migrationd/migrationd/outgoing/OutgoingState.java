package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.Failures;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where an outgoing migration stands, and what its operator wants of it. Any thread asks; the migration thread waits
 * here, and is woken by every change that it may wait for.
 */
final class OutgoingState {
    private static final Logger log = LoggerFactory.getLogger(OutgoingState.class);
    private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);
    private static final String PAUSED_BY_HAND = "paused by migrate-pause";

    private final OutgoingRequest request;
    private final Wakeup wakeup = new Wakeup();

    // All guarded by this.
    private OutgoingStatus status;
    private MigrationUri uri;
    private boolean released;
    private boolean cancelRequested;
    private boolean continueRequested;
    private boolean postcopyRequested;
    private boolean resumeRequested;
    /** A pause by hand is not undone by us. */
    private boolean heldByHand;

    private boolean stopping;
    private @Nullable Throwable failure;
    private @Nullable Throwable attemptFailure;
    private Links.@Nullable Connecting connecting;
    private @Nullable SourceConnection connection;
    private long earlierBytes;

    OutgoingState(OutgoingRequest request, OutgoingStatus first) {
        this.request = request;
        this.status = first;
        this.released = first.isPostcopy();
        this.uri = request.uri();
    }

    /** Wakes the migration thread, whatever it waits for here. */
    Wakeup wakeup() {
        return wakeup;
    }

    synchronized OutgoingStatus status() {
        return status;
    }

    synchronized boolean isReleased() {
        return released;
    }

    synchronized boolean isStopping() {
        return stopping;
    }

    synchronized boolean isCancelled() {
        return cancelRequested;
    }

    synchronized boolean isPostcopyRequested() {
        return postcopyRequested;
    }

    /** Where the next connection goes. */
    synchronized MigrationUri uri() {
        return uri;
    }

    /** What went wrong and, while paused, why it has not come back yet. */
    synchronized @Nullable String error() {
        if (failure == null) {
            return null;
        }
        String why = Failures.describe(failure);
        return attemptFailure == null ? why : why + "; no way back yet: " + Failures.describe(attemptFailure);
    }

    /** Bytes that the sockets of all connections have taken. */
    synchronized long bytesSent() {
        return earlierBytes + (connection == null ? 0 : connection.bytesSent());
    }

    // What an operator asks for.

    synchronized boolean cancel() {
        if (status.isTerminal() || status == OutgoingStatus.CANCELLING) {
            return true;
        }
        if (released) {
            return false;
        }
        cancelRequested = true;
        transition(Event.CANCEL);
        breakOff(new IOException("the migration was cancelled"));
        return true;
    }

    synchronized boolean continueSwitchover() {
        if (status != OutgoingStatus.PRE_SWITCHOVER) {
            return false;
        }
        continueRequested = true;
        wakeup.raise();
        return true;
    }

    /** Empty if accepted, else why not. */
    synchronized Optional<String> startPostcopy() {
        return switch (status) {
            case SETUP, ACTIVE -> {
                postcopyRequested = true;
                wakeup.raise();
                yield Optional.empty();
            }
            case PRE_SWITCHOVER, DEVICE -> Optional.of("the migration is about to complete without postcopy");
            case POSTCOPY_ACTIVE, POSTCOPY_PAUSED, POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER ->
                Optional.of("the migration is in postcopy already");
            case COMPLETED, FAILED, CANCELLING, CANCELLED ->
                Optional.of("no migration is under way: it is " + status.qmpName());
        };
    }

    /** Empty if accepted, else why not. */
    synchronized Optional<String> pause() {
        if (!status.isPostcopy()) {
            return Optional.of("only postcopy can be paused, this migration is " + status.qmpName());
        }
        heldByHand = true;
        resumeRequested = false;
        breakOff(new IOException(PAUSED_BY_HAND));
        return Optional.empty();
    }

    /** Empty if accepted, else why not. */
    synchronized Optional<String> resume(MigrationUri newUri) {
        // Attempts of our own come and go: an operator must not have to hit the moment between two of them.
        boolean comingBack = status == OutgoingStatus.POSTCOPY_PAUSED
                || status == OutgoingStatus.POSTCOPY_RECOVER_SETUP
                || status == OutgoingStatus.POSTCOPY_RECOVER;
        if (!comingBack) {
            return Optional.of("only paused postcopy can be resumed, this migration is " + status.qmpName());
        }
        boolean isThere = connection != null && status != OutgoingStatus.POSTCOPY_PAUSED && newUri.equals(uri);
        uri = newUri;
        heldByHand = false;
        resumeRequested = true;
        if (!isThere) {
            // What is agreed over a connection to that very address goes on: QEMU 7.2 dies of one that is broken off.
            breakOff(new IOException("resumed by hand"));
        }
        return Optional.empty();
    }

    /** The daemon stops: ends the thread wherever it is. A guest that was given away stays so. */
    synchronized void stop() {
        if (!cancel()) {
            stopping = true;
            breakOff(new IOException("the daemon stops"));
        }
    }

    private void breakOff(IOException cause) {
        if (connecting != null) {
            connecting.cancel();
        }
        if (connection != null) {
            connection.abort(cause);
        }
        wakeup.raise();
    }

    // What the migration thread does.

    /** A connection is being made: who breaks off, ends that too. */
    synchronized void connecting(Links.Connecting attempt) {
        connecting = attempt;
        if (cancelRequested || stopping || heldByHand) {
            attempt.cancel();
        }
    }

    synchronized void noLongerConnecting() {
        connecting = null;
    }

    /** The connection of the migration from now on. */
    synchronized void connected(SourceConnection opened) throws IOException {
        connection = opened;
        if (heldByHand) {
            throw new IOException(PAUSED_BY_HAND);
        }
        failIfEnded();
    }

    /** The connection is gone. */
    synchronized void disconnected() {
        if (connection != null) {
            earlierBytes += connection.bytesSent();
            connection = null;
        }
    }

    synchronized Optional<SourceConnection> connection() {
        return Optional.ofNullable(connection);
    }

    /** Throws when the migration is to end. */
    synchronized void failIfEnded() throws IOException {
        if (cancelRequested) {
            throw new IOException("the migration was cancelled");
        }
        if (stopping) {
            throw new IOException("the daemon stops");
        }
        if (connection != null) {
            connection.throwIfFailed();
        }
    }

    /** Waits until {@code nanos} have passed or something has changed; the caller looks again. */
    void await(long nanos) throws InterruptedException {
        wakeup.await(nanos);
    }

    /** Waits for migrate-continue. */
    void awaitContinue() throws IOException, InterruptedException {
        while (true) {
            synchronized (this) {
                failIfEnded();
                if (continueRequested) {
                    return;
                }
            }
            wakeup.await(LOOK_NANOS);
        }
    }

    /**
     * Waits until the next attempt to reconnect is due.
     *
     * @return whether an operator asked for it; empty when the daemon stops
     */
    Optional<Boolean> awaitAttempt(long delayNanos) throws InterruptedException {
        long due = System.nanoTime() + delayNanos;
        while (true) {
            long left = due - System.nanoTime();
            synchronized (this) {
                if (stopping) {
                    return Optional.empty();
                }
                if (resumeRequested) {
                    resumeRequested = false;
                    return Optional.of(true);
                }
                if (heldByHand || !request.recovery().auto()) {
                    left = LOOK_NANOS;
                } else if (left <= 0) {
                    return Optional.of(false);
                }
            }
            wakeup.await(left);
        }
    }

    /** Gives the right to run up, by {@code record}; until it has returned a cancel or a failure wins. */
    synchronized void release(OutgoingRequest.Release record) throws IOException {
        failIfEnded();
        record.write();
        released = true;
        if (connection != null) {
            // Its last byte may be all that lets the guest run anywhere: it gets every chance to arrive.
            connection.keepAfterFailure();
        }
    }

    /** The same for postcopy. */
    synchronized void releaseForPostcopy(OutgoingRequest.Release record) throws IOException {
        failIfEnded();
        record.writeForPostcopy();
        released = true;
    }

    /** The destination has said that it never ran the guest: this copy may run again. */
    synchronized void takeBack(OutgoingRequest.Release record) throws IOException {
        record.takeBack();
        released = false;
    }

    /** The first failure of an episode is the one that shows. */
    synchronized void failed(Throwable cause) {
        if (failure == null) {
            failure = cause;
        }
    }

    synchronized void attemptFailed(Throwable cause) {
        if (failure == null) {
            failure = cause;
        } else {
            attemptFailure = cause;
        }
    }

    /** It goes on as if nothing had been. */
    synchronized void recovered() {
        failure = null;
        attemptFailure = null;
        if (connection == null || connection.failure().isEmpty()) {
            resumeRequested = false;
        }
    }

    /** Stores, logs and announces the next status. */
    void transition(Event event) {
        OutgoingStatus from;
        OutgoingStatus to;
        synchronized (this) {
            from = status;
            boolean cancelling = from == OutgoingStatus.CANCELLING;
            if (cancelling && event != Event.STOPPED && event != Event.FAIL) {
                // The cancel won; the thread notices at its next step.
                return;
            }
            // A cancel that came while a failure was being handled has what it wanted.
            to = from.next(cancelling ? Event.STOPPED : event);
            status = to;
        }
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", request.guest().name())
                .addKeyValue("from", from.qmpName())
                .addKeyValue("to", to.qmpName())
                .log("state changed");
        announceStatus(to);
    }

    void announceStatus(OutgoingStatus to) {
        announce("MIGRATION", Map.of("status", to.qmpName()));
    }

    void announce(String event, Map<String, Object> data) {
        request.events().event(request.guest().name(), event, data);
    }
}
