package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.journal.DurableFiles;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.move.Outcome;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One JSON file per move, named by its start and its id; the newest of them are kept. Any thread. */
final class ReportFiles implements Reports {
    private static final Logger log = LoggerFactory.getLogger(ReportFiles.class);
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss.SSS").withZone(ZoneOffset.UTC);
    private static final String SUFFIX = ".json";
    private static final int MOST_BYTES = 8 << 20;

    private final Path directory;
    private final int most;
    private final String host;

    ReportFiles(Path directory, int most, String host) throws IOException {
        this.directory = directory;
        this.most = most;
        this.host = host;
        Files.createDirectories(directory);
    }

    @Override
    public synchronized void write(SourceMove move, Outcome outcome) {
        String name = "%s-%s%s"
                .formatted(STAMP.format(Instant.ofEpochMilli(move.job().startedAtMillis())), move.id(), SUFFIX);
        try {
            DurableFiles.replace(
                    directory.resolve(name),
                    JSON.writerWithDefaultPrettyPrinter().writeValueAsBytes(report(move, outcome)));
            List<Path> files = files();
            for (Path old : files.subList(Math.min(most, files.size()), files.size())) {
                Files.deleteIfExists(old);
            }
        } catch (IOException e) {
            log.atError().addKeyValue("move", move.id()).setCause(e).log("report not written");
        }
    }

    private ObjectNode report(SourceMove move, Outcome outcome) {
        MoveRecorder recorder = move.recorder();
        ObjectNode report = JSON.createObjectNode()
                .put("id", move.id().toString())
                .put("guest", move.job().order().guest())
                .put("uuid", move.job().order().uuid().toString())
                .put("mode", MoveWords.word(move.plan().mode()))
                .put("source-host", host)
                .put("destination-host", move.job().peer())
                .put("attempt", move.job().attempt())
                .put("outcome", MoveWords.word(outcome))
                .put("where", MoveWords.where(outcome))
                .put("message", move.message())
                .put("started-at-millis", move.job().startedAtMillis())
                .put("total-millis", move.age().toMillis());
        recorder.downtimeMillis().ifPresent(millis -> report.put("downtime-millis", millis));
        recorder.lastCounters().ifPresent(counters -> report.set("qemu", counters(counters)));
        ArrayNode outages = report.putArray("link-outages");
        move.link().map(LinkHealth::outages).orElse(List.of()).stream()
                .filter(outage -> outage.at().toEpochMilli() >= move.job().startedAtMillis())
                .forEach(outage -> outages.addObject()
                        .put("at-millis", outage.at().toEpochMilli())
                        .put("millis", outage.duration().toMillis())
                        .put("reason", outage.reason()));
        report.put("recoveries", move.recoveries());
        ArrayNode paths = report.putArray("byte-paths");
        recorder.traffic().forEach(traffic -> {
            ObjectNode path = paths.addObject();
            ObjectNode bytes = path.putObject("bytes");
            traffic.bytesByChannel().forEach(bytes::put);
            traffic.tapState().ifPresent(state -> path.put("tap", state));
        });
        recorder.clockOffsetMillis().ifPresent(offset -> report.put("destination-clock-ahead-millis", offset));
        report.set("timeline", timeline(recorder));
        if (recorder.dropped() > 0) {
            report.put("timeline-lines-dropped", recorder.dropped());
        }
        return report;
    }

    private static ObjectNode counters(QemuMigration counters) {
        ObjectNode json = JSON.createObjectNode().put("status", counters.statusText());
        counters.downtimeMillis().ifPresent(millis -> json.put("downtime-millis", millis));
        counters.setupMillis().ifPresent(millis -> json.put("setup-millis", millis));
        counters.totalMillis().ifPresent(millis -> json.put("total-millis", millis));
        counters.error().ifPresent(error -> json.put("error", error));
        counters.ram()
                .ifPresent(ram -> json.put("transferred-bytes", ram.transferredBytes())
                        .put("total-bytes", ram.totalBytes())
                        .put("zero-pages", ram.duplicate())
                        .put("normal-pages", ram.normal())
                        .put("passes", ram.dirtySyncCount())
                        .put("page-requests", ram.postcopyRequests())
                        .put("precopy-bytes", ram.precopyBytes())
                        .put("downtime-bytes", ram.downtimeBytes())
                        .put("postcopy-bytes", ram.postcopyBytes()));
        return json;
    }

    /** Both hosts' lines, in the order of this host's clock. */
    private ArrayNode timeline(MoveRecorder recorder) {
        record Line(long at, String where, String event, String detail) {}
        List<Line> lines = new ArrayList<>();
        recorder.lines().forEach(line -> lines.add(new Line(line.atMillis(), host, line.event(), line.detail())));
        long offset = recorder.clockOffsetMillis().orElse(0);
        recorder.peerTimeline()
                .ifPresent(peer -> peer.path("lines")
                        .forEach(line -> lines.add(new Line(
                                line.path("at").asLong() - offset,
                                peer.path("host").asText("destination"),
                                line.path("event").asText(),
                                line.path("detail").asText()))));
        lines.sort(Comparator.comparingLong(Line::at));
        ArrayNode json = JSON.createArrayNode();
        lines.forEach(line -> json.addObject()
                .put("at-millis", line.at())
                .put("host", line.where())
                .put("event", line.event())
                .put("detail", line.detail()));
        return json;
    }

    /** Newest first. */
    private List<Path> files() throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(file -> file.toString().endsWith(SUFFIX))
                    .sorted(Comparator.comparing((Path file) -> String.valueOf(file.getFileName()))
                            .reversed())
                    .toList();
        }
    }

    @Override
    public synchronized List<JsonNode> list(Optional<String> guest) {
        List<JsonNode> reports = new ArrayList<>();
        try {
            for (Path file : files()) {
                read(file)
                        .filter(report -> guest.isEmpty()
                                || guest.get().equals(report.path("guest").asText()))
                        .ifPresent(report -> {
                            ObjectNode line = JSON.createObjectNode();
                            for (String field : List.of(
                                    "id", "guest", "outcome", "message", "started-at-millis", "total-millis",
                                    "downtime-millis")) {
                                if (report.has(field)) {
                                    line.set(field, report.get(field));
                                }
                            }
                            reports.add(line);
                        });
            }
        } catch (IOException e) {
            log.atError().addKeyValue("path", directory).setCause(e).log("reports can't be listed");
        }
        return reports;
    }

    @Override
    public synchronized Optional<JsonNode> find(String idOrGuest) {
        try {
            for (Path file : files()) {
                Optional<JsonNode> report = read(file);
                if (report.isPresent()
                        && (report.get().path("id").asText().startsWith(idOrGuest)
                                || report.get().path("guest").asText().equals(idOrGuest))) {
                    return report;
                }
            }
        } catch (IOException e) {
            log.atError().addKeyValue("path", directory).setCause(e).log("reports can't be listed");
        }
        return Optional.empty();
    }

    private static Optional<JsonNode> read(Path file) {
        try {
            if (Files.size(file) > MOST_BYTES) {
                return Optional.empty();
            }
            return Optional.of(JSON.readTree(Files.readAllBytes(file)));
        } catch (IOException e) {
            log.atWarn().addKeyValue("path", file).setCause(e).log("report can't be read");
            return Optional.empty();
        }
    }
}
