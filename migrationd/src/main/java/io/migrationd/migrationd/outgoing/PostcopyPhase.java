package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.ShutStatus;
import java.io.IOException;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Everything from the release on: sends what is left, pauses when the connection breaks, comes back over another one,
 * any number of times. The guest's memory and what is left to send stay until the destination has said that it has
 * everything, or that it never ran the guest. Migration thread.
 */
final class PostcopyPhase {
    private static final Logger log = LoggerFactory.getLogger(PostcopyPhase.class);

    private final OutgoingParts parts;
    private final Postcopy postcopy;
    private final Recovery recovery;

    PostcopyPhase(OutgoingParts parts, Postcopy postcopy, Recovery recovery) {
        this.parts = parts;
        this.postcopy = postcopy;
        this.recovery = recovery;
    }

    /** The first thing to do over a connection. */
    @FunctionalInterface
    interface FirstStep {
        void run() throws IOException;
    }

    /** Goes on from the release; {@code handOver} lets the destination start the guest. */
    PostcopyOutcome run(SourceConnection connection, PostcopyReturnPath returnPath, FirstStep handOver)
            throws InterruptedException {
        PostcopyOutcome outcome = sendOver(connection, returnPath, handOver);
        return outcome == PostcopyOutcome.PAUSED ? comeBack() : outcome;
    }

    /** Goes on from what a daemon before this one has left, after {@code breaks} broken connections. */
    PostcopyOutcome takeOver(long breaks) throws InterruptedException {
        postcopy.recoveries().countFrom(breaks);
        paused("the daemon was restarted", System.nanoTime());
        return comeBack();
    }

    /** Goes on from the pause. */
    private PostcopyOutcome comeBack() throws InterruptedException {
        while (true) {
            Recovery.Result result = recovery.run();
            Optional<Recovery.Resumed> resumed = result.resumed();
            PostcopyOutcome outcome = resumed.isEmpty()
                    ? result.outcome()
                    : sendOver(resumed.get().connection(), resumed.get().returnPath(), () -> {});
            if (outcome != PostcopyOutcome.PAUSED) {
                return outcome;
            }
        }
    }

    private PostcopyOutcome sendOver(SourceConnection connection, PostcopyReturnPath returnPath, FirstStep first)
            throws InterruptedException {
        try {
            first.run();
            send(connection, returnPath);
            return PostcopyOutcome.COMPLETE;
        } catch (IOException e) {
            return broken(connection, returnPath, e);
        }
    }

    private void send(SourceConnection connection, PostcopyReturnPath returnPath)
            throws IOException, InterruptedException {
        Optional<MigrationChannel> second = connection.urgent();
        if (second.isEmpty()) {
            new PostcopySender(parts, postcopy, connection, returnPath, null).run();
            return;
        }
        try (UrgentSender urgent = new UrgentSender(postcopy, connection, second.get())) {
            urgent.start();
            new PostcopySender(parts, postcopy, connection, returnPath, urgent).run();
        }
    }

    private PostcopyOutcome broken(SourceConnection connection, PostcopyReturnPath returnPath, IOException seen) {
        connection.abort(seen);
        IOException cause = connection.failure().orElse(seen);
        long lastReceived = connection.main().lastReceivedNanos();
        connection.close();
        parts.state().disconnected();
        postcopy.queue().clear();
        if (returnPath.shutStatus().orElse(ShutStatus.COMPLETE) == ShutStatus.NEVER_RAN && takeBack(cause)) {
            return PostcopyOutcome.TAKEN_BACK;
        }
        if (parts.state().isStopping()) {
            return PostcopyOutcome.STOPPED;
        }
        parts.state().failed(cause);
        paused(Failures.describe(cause), lastReceived);
        log.atInfo()
                .addKeyValue("session", parts.request().id())
                .addKeyValue("guest", parts.request().guest().name())
                .addKeyValue("remaining", parts.ram().pendingEstimate())
                .setCause(cause)
                .log("postcopy paused");
        parts.state().transition(Event.BREAK);
        return PostcopyOutcome.PAUSED;
    }

    private void paused(String cause, long lastReceivedNanos) {
        postcopy.recoveries().paused(cause, lastReceivedNanos, System.nanoTime());
        try {
            parts.request().release().broken(postcopy.recoveries().count());
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("session", parts.request().id())
                    .setCause(e)
                    .log("the break was not recorded; a restarted daemon counts one less");
        }
    }

    /** A host that cannot write this down must not run the guest: it stays paused, and is told again. */
    private boolean takeBack(IOException cause) {
        try {
            parts.state().takeBack(parts.request().release());
            return true;
        } catch (IOException e) {
            cause.addSuppressed(e);
            return false;
        }
    }
}
