package io.migrationd.migrationd.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyInfo;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Reports of the engine's own migrations")
class MigrationReportWriterTest {
    private static final UUID WEB = UUID.fromString("8f2d0c5e-0000-4000-8000-000000000001");
    private static final InstantSource AT_5000 = InstantSource.fixed(Instant.ofEpochMilli(5000));

    @TempDir
    private Path directory;

    private static MigrationInfo info(String status, @Nullable Long total, @Nullable PostcopyInfo postcopy) {
        return new MigrationInfo(
                status, total, null, null, null, null, null, null, postcopy, null, List.of(), List.of());
    }

    private MigrationReportWriter writer(ReportStore store, String host) {
        return new MigrationReportWriter(store, host, AT_5000);
    }

    @Test
    void theSourceKnowsBothEnds() throws IOException {
        ReportStore store = new ReportStore(directory, 9);
        try (MigrationReportWriter writer = writer(store, "a")) {
            writer.sent("web", Optional.of(WEB), "tcp:b:4444", info("completed", 900L, null));
        }
        MoveReport report = store.list().getFirst();
        assertThat(report.id()).matches("source-[0-9a-f]{12}");
        assertThat(report.outcome()).isEqualTo("moved");
        assertThat(report.mode()).isEqualTo("precopy");
        assertThat(report.uuid()).isEqualTo(WEB.toString());
        assertThat(report.source()).isEqualTo("a");
        assertThat(report.destination()).isEqualTo("tcp:b:4444");
        assertThat(report.startMillis()).isEqualTo(4100);
        assertThat(report.totalMillis()).isEqualTo(900);
    }

    @Test
    void theDestinationKnowsHowLongWasWaited() throws IOException {
        PostcopyInfo.Latency faults = new PostcopyInfo.Latency(7, 150, 100, 900, 1500, List.of(0L, 0L, 5L, 2L));
        PostcopyInfo.Recovery cut = new PostcopyInfo.Recovery("cut", 1500, 20_000L, 3000L, 40L, 2);
        ReportStore store = new ReportStore(directory, 9);
        try (MigrationReportWriter writer = writer(store, "b")) {
            writer.received(
                    "web",
                    Optional.empty(),
                    info(
                            "completed",
                            900L,
                            new PostcopyInfo(7, 0L, null, null, null, faults, 12L, Map.of(42, 9L), List.of(cut), 1)));
        }
        MoveReport report = store.list().getFirst();
        assertThat(report.id()).startsWith("destination-");
        assertThat(report.source()).isNull();
        assertThat(report.destination()).isEqualTo("b");
        assertThat(report.mode()).isEqualTo("postcopy");
        MoveReport.Postcopy postcopy = Objects.requireNonNull(report.postcopy());
        assertThat(postcopy.faultBuckets()).containsExactly(0L, 0L, 5L, 2L);
        assertThat(postcopy.blocktimeMillis()).isEqualTo(12);
        assertThat(postcopy.threadBlocktimeMillis()).containsEntry("42", 9L);
        assertThat(report.recoveries()).containsExactly(new MoveReport.Recovery("cut", 1.5, 20.0, 3.0, 0.04, 2L));
    }

    @Test
    void anAddressThatNobodyCalledHasNoReport() throws IOException {
        ReportStore store = new ReportStore(directory, 9);
        try (MigrationReportWriter writer = writer(store, "b")) {
            writer.received("web", Optional.empty(), info("cancelled", null, null));
        }
        assertThat(store.list()).isEmpty();
    }

    @Test
    void theOldestGo() throws IOException {
        ReportStore store = new ReportStore(directory, 3);
        try (MigrationReportWriter writer = writer(store, "a")) {
            for (long total = 1; total <= 5; total++) {
                writer.sent("web", Optional.empty(), "unix:/b", info("failed", total, null));
            }
        }
        assertThat(store.list()).extracting(MoveReport::totalMillis).containsExactly(1L, 2L, 3L);
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).hasSize(3);
        }
    }
}
