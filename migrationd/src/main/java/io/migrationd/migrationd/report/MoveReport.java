package io.migrationd.migrationd.report;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One move from its first step to its end. What is {@code null} is not known and not in the file: absent is not 0.
 * Every field has its line in {@code docs/reports.md}.
 *
 * @param startMillis wall clock of the host that wrote it
 * @param outcome a word: moved, failed, cancelled, lost, ...
 * @param clockOffsetMillis what the other host's wall clock is ahead of ours
 */
public record MoveReport(
        String id,
        String guest,
        @Nullable String uuid,
        String mode,
        @Nullable String source,
        @Nullable String destination,
        String outcome,
        @Nullable String error,
        long startMillis,
        @Nullable Long totalMillis,
        @Nullable Downtime downtime,
        @Nullable Long clockOffsetMillis,
        List<Moment> timeline,
        List<Pass> passes,
        Map<String, Long> channelBytes,
        List<Decision> decisions,
        List<Recovery> recoveries,
        List<Outage> outages,
        @Nullable Postcopy postcopy,
        @Nullable Tap tap) {
    /** Copies; what a file does not have is empty. */
    public MoveReport {
        timeline = timeline == null ? List.of() : List.copyOf(timeline);
        passes = passes == null ? List.of() : List.copyOf(passes);
        channelBytes = channelBytes == null ? Map.of() : new java.util.LinkedHashMap<>(channelBytes);
        decisions = decisions == null ? List.of() : List.copyOf(decisions);
        recoveries = recoveries == null ? List.of() : List.copyOf(recoveries);
        outages = outages == null ? List.of() : List.copyOf(outages);
    }

    /**
     * Something that happened.
     *
     * @param host whose clock {@code atMillis} is of
     * @param atMillis wall clock of that host
     * @param offsetMillis since the start of the move by our clock; for the other host an estimate
     */
    public record Moment(
            String host,
            long atMillis,
            long offsetMillis,
            String event,
            @Nullable String detail) {}

    /** Parts of the time the guest stood, in milliseconds. */
    public record Downtime(
            @Nullable Double totalMillis,
            @Nullable Double stopMillis,
            @Nullable Double gateMillis,
            @Nullable Double lastPassMillis,
            @Nullable Double deviceStateMillis,
            @Nullable Double wireMillis,
            @Nullable Double loadMillis,
            @Nullable Double runMillis,
            @Nullable Double acknowledgeMillis) {}

    /** One pass over RAM. */
    public record Pass(
            int number,
            long pages,
            long zeroPages,
            long bytes,
            @Nullable Long millis,
            @Nullable Long dirtyPagesPerSecond) {}

    /** A decision and its cause, {@code offsetMillis} after the start. */
    public record Decision(long offsetMillis, String decision, String cause) {}

    /** One pause and how it ended, in milliseconds. */
    public record Recovery(
            String cause,
            @Nullable Double detectMillis,
            @Nullable Double reconnectMillis,
            @Nullable Double resyncMillis,
            @Nullable Double firstPageMillis,
            @Nullable Long attempts) {}

    /** The link was down, {@code offsetMillis} after the start; without duration if it never came back. */
    public record Outage(long offsetMillis, @Nullable Long millis) {}

    /**
     * What postcopy did.
     *
     * @param faultBuckets bucket n counts waits of 2^n to 2^(n+1) microseconds
     * @param threadBlocktimeMillis by thread id
     */
    public record Postcopy(
            @Nullable Long requests,
            @Nullable Long urgentPages,
            @Nullable Long nearPages,
            @Nullable Long backgroundPages,
            @Nullable Long blocktimeMillis,
            @Nullable Map<String, Long> threadBlocktimeMillis,
            @Nullable Long faults,
            @Nullable Double faultMeanMillis,
            @Nullable Double faultP50Millis,
            @Nullable Double faultP99Millis,
            @Nullable Double faultMaxMillis,
            @Nullable List<Long> faultBuckets) {}

    /** How well the stream was understood. */
    public record Tap(
            String state, @Nullable String reason, @Nullable Long offset, long unparsedBytes) {}
}
