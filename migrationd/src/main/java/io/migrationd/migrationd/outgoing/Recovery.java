package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.PeerWatch;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.ShutStatus;
import io.migrationd.returnpath.ReturnPathReplies;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Brings paused postcopy back: connects again, by itself or when an operator says so, learns which pages the
 * destination has, and resumes. Migration thread. Wire source: QEMU 10.0 migration/migration.c, postcopy_do_resume.
 */
final class Recovery {
    private static final Logger log = LoggerFactory.getLogger(Recovery.class);
    /** How long the first attempt waits for a word; a link that is just back may have lost the first bytes. */
    private static final long FIRST_PATIENCE_MILLIS = 1_000;

    private final OutgoingParts parts;
    private final OutgoingState state;
    private final Postcopy postcopy;
    private final Dialer dialer;
    private final RandomGenerator random;

    /** A connection over which the destination goes on. */
    record Resumed(SourceConnection connection, PostcopyReturnPath returnPath) {}

    /** Either a connection, or how it ended without one. */
    record Result(PostcopyOutcome outcome, Optional<Resumed> resumed) {
        static Result of(PostcopyOutcome outcome) {
            return new Result(outcome, Optional.empty());
        }
    }

    Recovery(OutgoingParts parts, Postcopy postcopy, Dialer dialer, RandomGenerator random) {
        this.parts = parts;
        this.state = parts.state();
        this.postcopy = postcopy;
        this.dialer = dialer;
        this.random = random;
    }

    /** Returns when the destination goes on, or nothing is left to go on with. */
    Result run() throws InterruptedException {
        Backoff backoff = new Backoff(parts.request().recovery().maxIntervalMillis(), random);
        long mostPatienceMillis = parts.request().recovery().deadPeerMillis();
        // A QEMU 7.2 does not survive an attempt that is given up in the handshake (spec: 07, row 11).
        boolean isQemu = parts.request().original().isPresent();
        long patienceMillis = isQemu ? mostPatienceMillis : Math.min(FIRST_PATIENCE_MILLIS, mostPatienceMillis);
        while (true) {
            Optional<Boolean> byHand = state.awaitAttempt(backoff.nextNanos());
            if (byHand.isEmpty()) {
                return Result.of(PostcopyOutcome.STOPPED);
            }
            try {
                return attempt(byHand.get(), patienceMillis);
            } catch (IOException e) {
                failed(e);
            }
            patienceMillis = Math.min(2 * patienceMillis, mostPatienceMillis);
        }
    }

    private void failed(IOException cause) {
        log.atDebug()
                .addKeyValue("session", parts.request().id())
                .setCause(cause)
                .log("postcopy does not go on yet");
        state.attemptFailed(cause);
        if (state.status() != OutgoingStatus.POSTCOPY_PAUSED) {
            state.transition(Event.BREAK);
        }
    }

    /** Automatic attempts show only when there is a connection: there may be many, and most just get no answer. */
    private Result attempt(boolean byHand, long patienceMillis) throws IOException, InterruptedException {
        postcopy.recoveries().attempt();
        if (byHand) {
            state.transition(Event.RECONNECT);
        }
        SourceConnection connection = dialer.reconnect();
        postcopy.recoveries().connected(System.nanoTime());
        if (!byHand) {
            state.transition(Event.RECONNECT);
        }
        PostcopyReturnPath returnPath = new PostcopyReturnPath(connection, postcopy);
        try {
            state.transition(Event.RECOVER);
            agree(connection, returnPath, patienceMillis);
            postcopy.recoveries().resumed(System.nanoTime());
            state.recovered();
            state.transition(Event.RESUME);
            return new Result(PostcopyOutcome.PAUSED, Optional.of(new Resumed(connection, returnPath)));
        } catch (IOException e) {
            return ended(connection, returnPath, e);
        }
    }

    private void agree(SourceConnection connection, PostcopyReturnPath returnPath, long patienceMillis)
            throws IOException, InterruptedException {
        PeerWatch watch = new PeerWatch(connection.main(), patienceMillis, System::nanoTime);
        connection.watch(watch, patienceMillis);
        returnPath.start();
        returnPath.bitmapsAsked();
        PostcopyStream stream = streamTo(connection);
        for (SourceBlock block : postcopy.pages().blocks()) {
            stream.askForBitmap(block);
        }
        connection.out().drain();
        // Behind the first bytes of the main connection, which tell a destination what it is (spec: 10, section 3).
        boolean fromTheStart = postcopy.preemptStyle() == PreemptStyle.FROM_THE_START;
        if (postcopy.isPreempting() && fromTheStart) {
            dialer.reconnectUrgent(connection);
        }
        watch.asked(stream.position());
        for (SourceBlock block : postcopy.pages().blocks()) {
            await(timeout -> replies(connection).awaitReceivedBitmap(block.ram.name(), timeout));
        }
        watch.answered();
        parts.ram().resumePrepare();
        if (postcopy.isPreempting() && !fromTheStart) {
            dialer.reconnectUrgent(connection);
        }
        stream.resume();
        watch.asked(stream.position());
        await(timeout -> replies(connection).awaitResumeAck(timeout));
        watch.answered();
    }

    private PostcopyStream streamTo(SourceConnection connection) {
        return new PostcopyStream(connection.out(), postcopy.request().ramSectionId());
    }

    private static ReturnPathReplies replies(SourceConnection connection) {
        return connection.replies();
    }

    /** A wait for one answer. */
    @FunctionalInterface
    private interface Reply {
        void await(Duration timeout) throws IOException, TimeoutException, InterruptedException;
    }

    private void await(Reply reply) throws IOException, InterruptedException {
        try {
            reply.await(Duration.ofMillis(parts.request().replyTimeoutMillis()));
        } catch (TimeoutException e) {
            throw new IOException("the destination does not answer in recovery", e);
        }
    }

    /** What the failed attempt means: a destination that has ended says how, in place of its first answer. */
    private Result ended(SourceConnection connection, PostcopyReturnPath returnPath, IOException seen)
            throws IOException {
        if (returnPath.shutStatus().orElse(ShutStatus.FAILED) == ShutStatus.COMPLETE) {
            streamTo(connection).shutHeard();
        } else {
            connection.abort(seen);
        }
        IOException cause = connection.failure().orElse(seen);
        connection.close();
        state.disconnected();
        postcopy.queue().clear();
        @Nullable
        Integer status =
                returnPath.shutStatus().isPresent() ? returnPath.shutStatus().getAsInt() : null;
        if (status == null || state.isStopping()) {
            throw cause;
        }
        return switch (status) {
            case ShutStatus.COMPLETE -> Result.of(PostcopyOutcome.COMPLETE);
            case ShutStatus.NEVER_RAN -> {
                state.takeBack(parts.request().release());
                yield Result.of(PostcopyOutcome.TAKEN_BACK);
            }
            default ->
                throw new IOException(
                        "the destination has failed (%s) and does not say whether it ran the guest: this copy stays stopped (guest-reclaim takes it back)"
                                .formatted(Integer.toUnsignedString(status)));
        };
    }
}
