package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.returnpath.ReturnPathReplies;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Sends pass after pass while the guest runs, and its end where that suffices. Migration thread. */
final class PrecopyPhase {
    private static final Logger log = LoggerFactory.getLogger(PrecopyPhase.class);
    private static final long PART_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final long ACK_POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    /** Kept of the downtime limit for the stop, the devices and the destination's start, but never more than half. */
    private static final long END_GAME_MILLIS = 200;

    private static final Duration SHUT_POLL = Duration.ofSeconds(1);

    private final OutgoingParts parts;
    private final OutgoingRequest request;
    private final OutgoingState state;
    private final RamSender ram;
    private final SourceConnection connection;
    private final PrecopyStream stream;
    private final RateLimiter limiter = new RateLimiter(System.nanoTime());
    private final PostcopyDecision decision = new PostcopyDecision();

    /** What has to follow. */
    enum Next {
        /** The guest is to be stopped for its last pass. */
        LAST_PASS,
        /** The guest is to be stopped and started at the destination, the rest comes after. */
        POSTCOPY
    }

    PrecopyPhase(OutgoingParts parts, SourceConnection connection, PrecopyStream stream) {
        this.parts = parts;
        this.request = parts.request();
        this.state = parts.state();
        this.ram = parts.ram();
        this.connection = connection;
        this.stream = stream;
    }

    /** Pass after pass until what is left can be sent within the downtime limit, or postcopy is due. */
    Next converge() throws IOException, InterruptedException {
        boolean partSent = false;
        while (true) {
            state.failIfEnded();
            boolean small = partSent && ram.pendingEstimate() <= threshold() && ram.pendingExact() <= threshold();
            boolean postcopy = !small && postcopyDue();
            if (small || postcopy) {
                if (switchoverAllowed()) {
                    return postcopy ? Next.POSTCOPY : Next.LAST_PASS;
                }
                if (small) {
                    state.await(ACK_POLL_NANOS);
                    continue;
                }
            }
            sendPart();
            partSent = true;
            sampleBandwidth();
            waitForBandwidth();
        }
    }

    private boolean postcopyDue() {
        if (!request.has(Capability.POSTCOPY_RAM)) {
            return false;
        }
        MigrationParameters parameters = request.parameters().get();
        double dirtied =
                (double) parts.counters().dirtyPagesRate.get() * request.guest().targetPageSizeBytes();
        return decision.isDue(
                        parameters,
                        ram.pages().isFirstPassDone(),
                        parts.counters().dirtySyncs.get(),
                        dirtied,
                        parts.bandwidth().sustainedBytesPerSecond(),
                        TimeUnit.NANOSECONDS.toMillis(parts.timeline().totalNanos()))
                || state.isPostcopyRequested();
    }

    private void sendPart() throws IOException {
        long deadline = System.nanoTime() + PART_NANOS;
        long budget = limiter.left(request.parameters().get().maxBandwidth(), stream.position());
        stream.ramPart(sent -> sent < budget && System.nanoTime() < deadline);
    }

    private void waitForBandwidth() throws IOException, InterruptedException {
        while (true) {
            long now = System.nanoTime();
            long delay = limiter.delayNanos(now, request.parameters().get().maxBandwidth(), stream.position());
            if (delay == 0) {
                return;
            }
            state.await(delay);
            state.failIfEnded();
            sampleBandwidth();
        }
    }

    private void sampleBandwidth() {
        parts.bandwidth().sample(System.nanoTime(), connection.bytesSent());
    }

    /** Bytes that fit into RAM's part of the downtime limit at the speed of the link. */
    private long threshold() {
        MigrationParameters limits = request.parameters().get();
        double speed = limits.availSwitchoverBandwidth() > 0
                ? limits.availSwitchoverBandwidth()
                : parts.bandwidth().sustainedBytesPerSecond();
        long limit = limits.downtimeLimitMillis();
        return (long) (speed * (limit - Math.min(limit / 2, END_GAME_MILLIS)) / 1000);
    }

    private boolean switchoverAllowed() {
        return !request.has(Capability.SWITCHOVER_ACK)
                || !connection.hasReturnPath()
                || connection.replies().isSwitchoverAcked()
                || request.guest().runState() != RunState.RUNNING;
    }

    /**
     * The end game. Everything but the last byte is at the destination and was loaded (PONG) before the right to run is
     * given up; the destination can't start the guest without that byte.
     */
    void complete() throws IOException, InterruptedException {
        parts.switchover().stopGuest();
        stream.ramEnd();
        parts.timeline().lastPassSent();
        stream.devices();
        parts.timeline().devicesSent();
        if (connection.hasReturnPath()) {
            stream.pingLoaded();
            awaitLoaded(connection.replies());
        } else {
            stream.drain();
        }
        state.release(request.release());
        stream.end();
        sampleBandwidth();
        if (connection.hasReturnPath()) {
            awaitShut(connection.replies());
        } else {
            connection.main().shutdownOutput();
        }
    }

    private void awaitLoaded(ReturnPathReplies replies) throws IOException, InterruptedException {
        try {
            replies.awaitPong(StreamPings.LOADED, Duration.ofMillis(request.replyTimeoutMillis()));
        } catch (TimeoutException e) {
            throw new IOException(
                    "the destination has not loaded the device state within %d ms"
                            .formatted(request.replyTimeoutMillis()),
                    e);
        }
    }

    /** Without limit: giving up would not make the guest run anywhere. A dead link ends the wait. */
    private void awaitShut(ReturnPathReplies replies) throws IOException, InterruptedException {
        while (true) {
            try {
                int code = replies.awaitShut(SHUT_POLL);
                if (code != 0) {
                    throw new IOException("the destination reported failure " + code + " after it had the whole guest");
                }
                return;
            } catch (TimeoutException e) {
                log.atDebug().addKeyValue("session", request.id()).log("waiting for SHUT");
            }
        }
    }
}
