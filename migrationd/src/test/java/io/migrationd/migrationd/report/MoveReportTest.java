package io.migrationd.migrationd.report;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.migrationd.migrationd.report.MoveReport.Downtime;
import io.migrationd.migrationd.report.MoveReport.Moment;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyInfo;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Move reports")
class MoveReportTest {
    private static MoveReport report(String id, String guest, long startMillis) {
        MoveReportBuilder builder =
                new MoveReportBuilder(id, guest, "precopy", "a", startMillis, 50).between(null, "a", "b");
        builder.event(startMillis + 10, 60, "started", null);
        builder.clockPair(startMillis, startMillis + 5900, startMillis + 800);
        builder.clockPair(startMillis, startMillis + 5010, startMillis + 20);
        builder.clockPair(startMillis, startMillis + 9000, startMillis + 500);
        builder.merge(List.of(new Moment("b", startMillis + 5005, 0, "ready\u001b[2J", "x")));
        builder.decision(70, "raise-downtime", "a stall");
        builder.outage(80, null);
        builder.channel("main", 4096);
        builder.pass(new MoveReport.Pass(1, 10, 2, 4096, 5L, null));
        builder.downtime(new Downtime(12.5, 1.25, null, null, null, null, null, null, null));
        return builder.build("moved", null, startMillis + 100, 150);
    }

    @Test
    void keepsBothClocks() {
        MoveReport report = report("m1", "web", 1000);
        assertEquals(5000L, report.clockOffsetMillis());
        // The other host's event comes first, once its clock is made ours.
        assertEquals(
                List.of("b", "a"), report.timeline().stream().map(Moment::host).toList());
        assertEquals(5, report.timeline().getFirst().offsetMillis());
        assertEquals(6005, report.timeline().getFirst().atMillis());
        assertEquals(100L, report.totalMillis());
    }

    @Test
    void comesBackFromJsonAndLeavesOutWhatIsNotKnown() throws IOException {
        MoveReport report = report("m1", "web", 1000);
        String json = new String(ReportJson.write(report), StandardCharsets.UTF_8);
        assertEquals(report, ReportJson.read(json.getBytes(StandardCharsets.UTF_8)));
        assertTrue(json.contains("\"stop-millis\" : 1.25"), json);
        assertFalse(json.contains("load-millis"), json);
        assertFalse(json.contains("null"), json);
    }

    @Test
    void theBuilderIsBounded() {
        MoveReportBuilder builder = new MoveReportBuilder("m", "g", "precopy", "a", 0, 0);
        for (int i = 0; i < MoveReportBuilder.MAX_ENTRIES + 7; i++) {
            builder.event(i, i, "e", null);
        }
        List<Moment> timeline = builder.build("moved", null, 9999, 9999).timeline();
        assertEquals(MoveReportBuilder.MAX_ENTRIES + 1, timeline.size());
        assertEquals("7 entries over the bound", timeline.getLast().detail());
    }

    @Test
    void theStoreKeepsTheNewest(@TempDir Path directory) throws IOException {
        ReportStore store = new ReportStore(directory.resolve("reports"), 3);
        assertEquals(List.of(), store.list());
        for (int i = 1; i <= 5; i++) {
            store.write(report("m" + i, i % 2 == 0 ? "web" : "db", i * 1_000_000_000L));
        }
        Files.writeString(directory.resolve("reports/000000000000001-bad.json"), "{");
        Files.writeString(directory.resolve("reports/notes.txt"), "mine");
        assertEquals(
                List.of("m5", "m4", "m3"),
                store.list().stream().map(MoveReport::id).toList());
        assertEquals(
                List.of("m4"), store.ofGuest("web").stream().map(MoveReport::id).toList());
        assertEquals(Optional.of("db"), store.find("m3").map(MoveReport::guest));
        assertEquals(Optional.empty(), store.find("m1"));
        Path odd = store.write(report("../../x y", "web", 9_000_000_000L));
        assertEquals(directory.resolve("reports/000009000000000-.._.._x_y.json"), odd);
        assertTrue(Files.exists(directory.resolve("reports/notes.txt")));
        assertFalse(Files.exists(directory.resolve("reports/000000000000001-bad.json")));
    }

    @Test
    void readsWell() {
        assertEquals("""
                move             m1
                guest            web
                mode             precopy
                from, to         a -> b
                outcome          moved
                total            100 ms
                downtime         12.500 ms
                  stop           1.250 ms
                bytes main       4096
                other clock      5000 ms ahead
                passes:
                     1          10 pages           2 zero            4096 bytes        5 ms
                decisions:
                          20 ms  raise-downtime a stall
                link outages:
                          30 ms  never ended
                timeline:
                           5 ms  b  ready?[2J: x
                          10 ms  a  started""", String.join("\n", ReportText.lines(report("m1", "web", 1000))));
    }

    @Test
    void theEnginesOwnMigrationsHaveAReport() {
        PostcopyInfo postcopy = new PostcopyInfo(
                7,
                null,
                3L,
                2L,
                100L,
                new PostcopyInfo.Latency(7, 150, 100, 900, 1500, List.of(0L, 0L, 5L, 2L)),
                12L,
                Map.of(42, 9L),
                List.of(new PostcopyInfo.Recovery("link cut", 1500, 20_000L, 3000L, null, 2)),
                1);
        MigrationInfo info = new MigrationInfo(
                "completed",
                900L,
                null,
                30L,
                null,
                new MigrationInfo.DowntimeSplit(1000, 0, 2000, 3000, 4000),
                null,
                null,
                postcopy,
                null,
                List.of(),
                List.of());
        MoveReport report = MigrationReports.of(info, "m", "web", null, "a", "b", 5);
        assertEquals("moved", report.outcome());
        assertEquals(
                List.of(0L, 0L, 5L, 2L),
                Objects.requireNonNull(report.postcopy()).faultBuckets());
        assertEquals(3L, Objects.requireNonNull(report.postcopy()).urgentPages());
        assertEquals(Map.of("42", 9L), Objects.requireNonNull(report.postcopy()).threadBlocktimeMillis());
        assertEquals(
                new MoveReport.Recovery("link cut", 1.5, 20.0, 3.0, null, 2L),
                report.recoveries().getFirst());
        String text = String.join("\n", ReportText.lines(report));
        assertTrue(text.contains("link cut: detect 1.500 ms, reconnect 20.000 ms, resync 3.000 ms"), text);
        assertTrue(text.contains("  from 0.004 ms  5"), text);
        assertTrue(text.contains("  thread 42      9 ms"), text);
    }
}
