package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.relay.tap.Mark;
import io.migrationd.migrationd.relay.tap.TapStatus;
import io.migrationd.migrationd.report.MoveReport;
import io.migrationd.migrationd.report.MoveReportBuilder;
import io.migrationd.migrationd.report.ReportJson;
import io.migrationd.migrationd.report.ReportStore;
import io.migrationd.migrationd.report.ReportText;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Makes a report of what a move's recorder has, and finds reports for the control socket. Any thread. */
final class ReportFiles implements Reports {
    private static final Logger log = LoggerFactory.getLogger(ReportFiles.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final double NANOS_PER_MILLI = 1e6;

    private final ReportStore store;
    private final String host;

    ReportFiles(ReportStore store, String host) {
        this.store = store;
        this.host = host;
    }

    @Override
    public synchronized void write(SourceMove move, Outcome outcome) {
        try {
            Path _ = store.write(report(move, outcome));
        } catch (IOException | RuntimeException e) {
            log.atError().addKeyValue("move", move.id()).setCause(e).log("report not written");
        }
    }

    private MoveReport report(SourceMove move, Outcome outcome) {
        MoveRecorder recorder = move.recorder();
        long startWall = move.job().startedAtMillis();
        // The start by this daemon's monotonic clock; an earlier daemon's part of the move lies before it.
        long startMonotonic =
                TimeUnit.NANOSECONDS.toMillis(System.nanoTime()) - move.age().toMillis();
        MoveReportBuilder report = new MoveReportBuilder(
                        move.id().toString(),
                        move.job().order().guest(),
                        MoveWords.word(move.plan().mode()),
                        host,
                        startWall,
                        startMonotonic)
                .between(move.job().order().uuid().toString(), host, move.job().peer());
        recorder.clockPair()
                .ifPresent(pair ->
                        report.clockPair(pair.sentAtMillis(), pair.peerAtMillis(), recorder.clockAnsweredMillis()));
        for (MoveStore.Line line : recorder.lines()) {
            report.event(line.atMillis(), startMonotonic + line.atMillis() - startWall, line.event(), line.detail());
        }
        recorder.peerTimeline().ifPresent(peer -> report.merge(theirs(peer)));
        for (MoveRecorder.Decided decided : recorder.decisions()) {
            report.decision(TimeUnit.NANOSECONDS.toMillis(decided.nanos()), decided.decision(), decided.cause());
        }
        move.link().map(LinkHealth::outages).orElse(List.of()).stream()
                .filter(outage -> outage.at().toEpochMilli() >= startWall)
                .forEach(outage -> report.outage(
                        startMonotonic + outage.at().toEpochMilli() - startWall,
                        outage.duration().toMillis()));
        carried(recorder, report);
        report.downtime(downtime(recorder));
        recorder.lastCounters()
                .flatMap(QemuMigration::ram)
                .filter(ram -> ram.postcopyRequests() > 0)
                .ifPresent(ram -> report.postcopy(postcopy(ram)));
        move.recovered().forEach(report::recovery);
        return report.build(
                MoveWords.word(outcome),
                outcome == Outcome.MOVED ? null : move.message(),
                System.currentTimeMillis(),
                TimeUnit.NANOSECONDS.toMillis(System.nanoTime()));
    }

    private static void carried(MoveRecorder recorder, MoveReportBuilder report) {
        for (MoveTraffic traffic : recorder.traffic()) {
            traffic.bytesByChannel().forEach(report::channel);
            traffic.stream().ifPresent(stream -> {
                stream.passes()
                        .forEach(seen -> report.pass(new MoveReport.Pass(
                                seen.pass().number(),
                                seen.pass().pages().total(),
                                seen.pass().pages().zero(),
                                seen.pass().bytes(),
                                TimeUnit.NANOSECONDS.toMillis(seen.nanos()),
                                null)));
                TapStatus status = stream.status();
                report.tap(new MoveReport.Tap(
                        MoveWords.word(status.state()),
                        status.reason().orElse(null),
                        status.offset(),
                        status.unparsedBytes()));
            });
        }
    }

    private static List<MoveReport.Moment> theirs(JsonNode peer) {
        List<MoveReport.Moment> moments = new ArrayList<>();
        String theirHost = peer.path("host").asText("destination");
        for (JsonNode line : peer.path("lines")) {
            moments.add(new MoveReport.Moment(
                    theirHost,
                    line.path("at").asLong(),
                    0,
                    line.path("event").asText(),
                    line.path("detail").asText()));
        }
        return moments;
    }

    /** What of it was measured; the rest is absent. */
    private static MoveReport.Downtime downtime(MoveRecorder recorder) {
        OptionalLong gate = recorder.phaseNanos(SourcePhase.GATE.name());
        OptionalLong passed = recorder.phaseNanos(SourcePhase.FINISHING.name());
        OptionalLong released = recorder.phaseNanos(SourcePhase.RELEASED.name());
        Optional<SeenStream> stream = recorder.traffic().stream()
                .flatMap(traffic -> traffic.stream().stream())
                .findFirst();
        OptionalLong sent = stream.map(seen -> seen.nanos(Mark.EOF)).orElse(OptionalLong.empty());
        @Nullable
        Double total = recorder.downtimeMillis().isPresent()
                ? (double) recorder.downtimeMillis().getAsLong()
                : null;
        return new MoveReport.Downtime(
                total,
                between(recorder.stoppedAtNanos(), gate),
                between(gate, passed),
                between(passed, sent),
                null,
                null,
                between(sent, released),
                total != null
                                && released.isPresent()
                                && recorder.stoppedAtNanos().isPresent()
                        ? (Double) Math.max(
                                0,
                                total
                                        - (released.getAsLong()
                                                        - recorder.stoppedAtNanos()
                                                                .getAsLong())
                                                / NANOS_PER_MILLI)
                        : null,
                null);
    }

    private static @Nullable Double between(OptionalLong from, OptionalLong to) {
        return from.isPresent() && to.isPresent() && to.getAsLong() >= from.getAsLong()
                ? (Double) ((to.getAsLong() - from.getAsLong()) / NANOS_PER_MILLI)
                : null;
    }

    private static MoveReport.Postcopy postcopy(QemuMigration.Ram ram) {
        return new MoveReport.Postcopy(
                ram.postcopyRequests(), null, null, null, null, null, null, null, null, null, null, null);
    }

    @Override
    public synchronized List<JsonNode> list(Optional<String> guest) {
        try {
            List<JsonNode> lines = new ArrayList<>();
            for (MoveReport report : guest.isPresent() ? store.ofGuest(guest.get()) : store.list()) {
                ObjectNode line = JSON.createObjectNode()
                        .put("id", report.id())
                        .put("guest", report.guest())
                        .put("mode", report.mode())
                        .put("outcome", report.outcome())
                        .put("start-millis", report.startMillis());
                if (report.totalMillis() != null) {
                    line.put("total-millis", report.totalMillis());
                }
                if (report.destination() != null) {
                    line.put("destination", report.destination());
                }
                lines.add(line);
            }
            return lines;
        } catch (IOException e) {
            log.atError().setCause(e).log("reports can't be listed");
            return List.of();
        }
    }

    @Override
    public synchronized Optional<JsonNode> find(String idOrGuest) {
        try {
            Optional<MoveReport> found = store.list().stream()
                    .filter(report ->
                            report.id().startsWith(idOrGuest) || report.guest().equals(idOrGuest))
                    .findFirst();
            if (found.isEmpty()) {
                return Optional.empty();
            }
            ObjectNode both = JSON.createObjectNode();
            both.set("report", JSON.readTree(ReportJson.write(found.get())));
            ArrayNode text = both.putArray("text");
            ReportText.lines(found.get()).forEach(text::add);
            return Optional.of(both);
        } catch (IOException e) {
            log.atError().setCause(e).log("reports can't be read");
            return Optional.empty();
        }
    }
}
