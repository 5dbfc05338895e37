package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * What a control socket can ask about moves of QEMU guests. Only {@link #check} and {@link #start} wait: for the peer's
 * answer, at most some seconds. Calls may come from any thread.
 */
public interface MoveOperations {
    /** Whether a guest of that name is moved as a whole, by its definition. */
    boolean isDefined(String guest);

    /**
     * Looks for everything that speaks against a move, here and at the destination. Starts nothing.
     *
     * @throws CommandException if the guest or the peer is not known
     */
    List<Problem> check(String guest, MoveWish wish) throws CommandException;

    /**
     * Checks and starts a move, which then goes on by itself.
     *
     * @throws CommandException if it was refused; nothing was started then
     */
    MoveView start(String guest, MoveWish wish) throws CommandException;

    /** Asks a move to end with the guest at the source. Refused once the guest may be the destination's. */
    void cancel(String guest) throws CommandException;

    /** Moves under way and those that ended since the daemon started, newest first, both roles; a bounded number. */
    List<MoveView> moves();

    /** The move of that guest that is under way or was last, if there was one. */
    Optional<MoveView> find(String guest);

    /** The guest of a paused postcopy is saved by a means that QEMU itself does not have. */
    void rescue(String guest, RescueWish wish) throws CommandException;

    /** Reports, newest first. */
    List<JsonNode> reports(Optional<String> guest);

    /** One report, by its id or the newest of a guest. */
    Optional<JsonNode> report(String idOrGuest);

    /**
     * Gives a guest back to this host although the record says it was given away.
     *
     * @throws CommandException if it was not given away, or the destination is known to have it and {@code force} is
     *     not set
     */
    void reclaim(String guest, boolean force) throws CommandException;

    /** Something that speaks against a move: an error forbids it, a warning does not. */
    record Problem(String code, boolean error, String text) {}

    /** When a move may go over to postcopy. */
    enum PostcopyUse {
        NEVER,
        WHEN_STUCK,
        AFTER_FIRST_PASS
    }

    /**
     * What was asked for; what is {@code null} is taken from the guest's definition.
     *
     * @param to a peer of the configuration, or a URI of a peer's listener
     */
    record MoveWish(
            String to,
            @Nullable PostcopyUse postcopy,
            @Nullable Boolean preempt,
            @Nullable Integer multifdChannels,
            @Nullable Boolean xbzrle,
            @Nullable Boolean autoConverge,
            @Nullable Long downtimeLimitMillis,
            @Nullable Long maxDowntimeMillis,
            @Nullable Long timeBudgetMillis,
            @Nullable Long maxBandwidth,
            @Nullable Long maxPostcopyBandwidth,
            @Nullable Boolean keepSource,
            @Nullable Integer retries) {
        /** A wish that leaves everything to the definition. */
        public static MoveWish to(String peer) {
            return new MoveWish(peer, null, null, null, null, null, null, null, null, null, null, null, null);
        }
    }

    /** The three rescues. */
    enum RescueKind {
        DRAIN,
        SERVE,
        REPLACE
    }

    /** What was asked for. */
    record RescueWish(RescueKind kind) {}

    /**
     * A move for people and programs.
     *
     * @param role {@code source} or {@code destination}
     * @param phase of the state machine
     * @param outcome absent while it is under way
     * @param where the side that has the guest: {@code source}, {@code destination} or {@code unknown}
     * @param qemuStatus of query-migrate at this side, when known
     * @param linkDown how long the link has been down now, absent while it is up
     * @param nextAttempt how long until a move that has failed is tried again, absent if it is not
     */
    record MoveView(
            String id,
            String guest,
            String role,
            String peer,
            int attempt,
            String phase,
            Optional<String> outcome,
            String where,
            String message,
            Optional<String> qemuStatus,
            long startedAtMillis,
            long elapsedMillis,
            Progress progress,
            Optional<Duration> linkDown,
            int outages,
            int recoveries,
            Optional<String> lastDecision,
            Optional<Duration> nextAttempt) {
        /** The same with or without an attempt to come. */
        public MoveView withNextAttempt(Optional<Duration> left) {
            return new MoveView(
                    id,
                    guest,
                    role,
                    peer,
                    attempt,
                    phase,
                    outcome,
                    where,
                    message,
                    qemuStatus,
                    startedAtMillis,
                    elapsedMillis,
                    progress,
                    linkDown,
                    outages,
                    recoveries,
                    lastDecision,
                    left);
        }
    }

    /** How far it is; 0 where nothing is known. */
    record Progress(
            long totalBytes,
            long remainingBytes,
            long transferredBytes,
            long passes,
            double megabitsPerSecond,
            long downtimeMillis,
            long pageRequests) {}
}
