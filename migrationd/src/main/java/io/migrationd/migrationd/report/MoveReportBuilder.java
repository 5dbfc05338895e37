package io.migrationd.migrationd.report;

import io.migrationd.migrationd.report.MoveReport.Decision;
import io.migrationd.migrationd.report.MoveReport.Downtime;
import io.migrationd.migrationd.report.MoveReport.Moment;
import io.migrationd.migrationd.report.MoveReport.Outage;
import io.migrationd.migrationd.report.MoveReport.Pass;
import io.migrationd.migrationd.report.MoveReport.Postcopy;
import io.migrationd.migrationd.report.MoveReport.Recovery;
import io.migrationd.migrationd.report.MoveReport.Tap;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Collects a report while the move runs. Clocks are arguments: a wall clock to show, a monotonic one to measure. Lists
 * are bounded; what is over the bound is left out and counted in the timeline. Not thread-safe.
 */
public final class MoveReportBuilder {
    /** Of each list. */
    static final int MAX_ENTRIES = 4096;

    private final String id;
    private final String guest;
    private final String mode;
    private final String host;
    private final long startWallMillis;
    private final long startMonotonicMillis;
    private final List<Moment> timeline = new ArrayList<>();
    private final List<Pass> passes = new ArrayList<>();
    private final Map<String, Long> channelBytes = new LinkedHashMap<>();
    private final List<Decision> decisions = new ArrayList<>();
    private final List<Recovery> recoveries = new ArrayList<>();
    private final List<Outage> outages = new ArrayList<>();
    private long leftOut;
    private long bestRoundTripMillis = Long.MAX_VALUE;
    private @Nullable Long clockOffsetMillis;
    private @Nullable String uuid;
    private @Nullable String source;
    private @Nullable String destination;
    private @Nullable Downtime downtime;
    private @Nullable Postcopy postcopy;
    private @Nullable Tap tap;

    /** A report that begins now, written on {@code host}. */
    public MoveReportBuilder(String id, String guest, String mode, String host, long wallMillis, long monotonicMillis) {
        this.id = id;
        this.guest = guest;
        this.mode = mode;
        this.host = host;
        this.startWallMillis = wallMillis;
        this.startMonotonicMillis = monotonicMillis;
    }

    /** Who moves from where to where. */
    public MoveReportBuilder between(@Nullable String guestUuid, String sourceHost, String destinationHost) {
        uuid = guestUuid;
        source = sourceHost;
        destination = destinationHost;
        return this;
    }

    /** Something happened here. */
    public void event(long wallMillis, long monotonicMillis, String event, @Nullable String detail) {
        add(timeline, new Moment(host, wallMillis, monotonicMillis - startMonotonicMillis, event, detail));
    }

    /**
     * A question to the other host and its answer show how its clock differs; of several pairs the quickest counts.
     *
     * @param askedMillis our wall clock when the question went out
     * @param theirMillis the other host's wall clock in the answer
     * @param answeredMillis our wall clock when it came
     */
    public void clockPair(long askedMillis, long theirMillis, long answeredMillis) {
        long roundTrip = answeredMillis - askedMillis;
        if (roundTrip >= 0 && roundTrip < bestRoundTripMillis) {
            bestRoundTripMillis = roundTrip;
            clockOffsetMillis = theirMillis - (askedMillis + roundTrip / 2);
        }
    }

    /** The other host's timeline: its wall clock stays as it is, offsets are made ours by the estimate of its clock. */
    public void merge(List<Moment> theirs) {
        long ahead = clockOffsetMillis == null ? 0 : clockOffsetMillis;
        for (Moment moment : theirs) {
            long offset = moment.atMillis() - ahead - startWallMillis;
            add(timeline, new Moment(moment.host(), moment.atMillis(), offset, moment.event(), moment.detail()));
        }
    }

    /** A pass has ended. */
    public void pass(Pass pass) {
        add(passes, pass);
    }

    /** Bytes that a channel has carried, {@code main}, {@code return}, {@code preempt}, {@code multifd-0}, ... */
    public void channel(String name, long bytes) {
        channelBytes.put(name, bytes);
    }

    /** A decision and why. */
    public void decision(long monotonicMillis, String decision, String cause) {
        add(decisions, new Decision(monotonicMillis - startMonotonicMillis, decision, cause));
    }

    /** A pause and how it ended. */
    public void recovery(Recovery recovery) {
        add(recoveries, recovery);
    }

    /** The link was down; {@code millis} is {@code null} if it never came back. */
    public void outage(long monotonicMillis, @Nullable Long millis) {
        add(outages, new Outage(monotonicMillis - startMonotonicMillis, millis));
    }

    /** What the downtime was made of. */
    public void downtime(Downtime split) {
        downtime = split;
    }

    /** What postcopy did. */
    public void postcopy(Postcopy figures) {
        postcopy = figures;
    }

    /** How well the stream was understood. */
    public void tap(Tap state) {
        tap = state;
    }

    private <T> void add(List<T> list, T entry) {
        if (list.size() < MAX_ENTRIES) {
            list.add(entry);
        } else {
            leftOut++;
        }
    }

    /** The report so far; with {@code outcome} the final one. */
    public MoveReport build(String outcome, @Nullable String error, long wallMillis, long monotonicMillis) {
        List<Moment> moments = new ArrayList<>(timeline);
        long total = monotonicMillis - startMonotonicMillis;
        if (leftOut > 0) {
            moments.add(new Moment(host, wallMillis, total, "left out", leftOut + " entries over the bound"));
        }
        moments.sort(Comparator.comparingLong(Moment::offsetMillis));
        return new MoveReport(
                id,
                guest,
                uuid,
                mode,
                source,
                destination,
                outcome,
                error,
                startWallMillis,
                total,
                downtime,
                clockOffsetMillis,
                moments,
                passes,
                channelBytes,
                decisions,
                recoveries,
                outages,
                postcopy,
                tap);
    }
}
