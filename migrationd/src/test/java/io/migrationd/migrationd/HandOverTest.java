package io.migrationd.migrationd;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.journal.MigrationLedger;
import io.migrationd.migrationd.journal.MigrationRecord;
import io.migrationd.migrationd.journal.OwnershipLedger;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.report.MigrationReportWriter;
import io.migrationd.migrationd.report.ReportStore;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.RecoverySettings;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a daemon after this one reads of a postcopy that it did not begin. */
@DisplayName("Record of a hand-over")
class HandOverTest {
    private static final MigrationUri FIRST = MigrationUri.parse("tcp:192.0.2.1:4444");
    private static final MigrationUri SECOND = MigrationUri.parse("tcp:192.0.2.2:4444");

    @TempDir
    private Path directory;

    private final Links links = new Links(1000, 1000);
    private final Meters meters = new Meters();
    private MigrationReportWriter reports;
    private MemoryGuest guest;
    private GuestServices services;

    @BeforeEach
    void open() throws Exception {
        reports = new MigrationReportWriter(
                new ReportStore(directory.resolve("reports"), 4), "here", InstantSource.system());
        guest = new MemoryGuest("web01").with("ram", 4);
        services = new GuestServices(
                links,
                (name, event, data) -> {},
                meters,
                reports,
                new OwnershipLedger(directory.resolve("ownership")),
                new MigrationLedger(directory.resolve("migrations")),
                RecoverySettings.DEFAULTS,
                1000,
                1000,
                1 << 20,
                false);
    }

    @AfterEach
    void close() {
        guest.close();
        links.close();
        meters.close();
        reports.close();
    }

    private HandOver handOver(MigrationUri destination) {
        return new HandOver(guest, services, destination, Set.of(Capability.POSTCOPY_RAM));
    }

    /** As the next daemon reads it. */
    private MigrationRecord recorded() throws Exception {
        return new MigrationLedger(directory.resolve("migrations"))
                .find("web01")
                .orElseThrow();
    }

    @Test
    void saysThatAnOperatorHadPausedTheGuest() throws Exception {
        guest.paused();
        guest.stopForSwitchover();
        handOver(FIRST).writeForPostcopy();

        assertThat(recorded().phase()).isEqualTo(MigrationRecord.UNDER_WAY);
        assertThat(recorded().paused()).isTrue();
    }

    @Test
    void aGuestThatTheMigrationStoppedIsNotPaused() throws Exception {
        handOver(FIRST).stopping();
        guest.stopForSwitchover();
        handOver(FIRST).writeForPostcopy();

        assertThat(recorded().paused()).isFalse();
    }

    @Test
    void breaksAreCountedOnAtAnotherAddress() throws Exception {
        guest.paused();
        handOver(FIRST).writeForPostcopy();
        handOver(FIRST).broken(2);
        handOver(SECOND).moved();

        assertThat(recorded().recoveryCount()).isEqualTo(2);
        assertThat(recorded().uri()).isEqualTo("tcp:192.0.2.2:4444");
        assertThat(recorded().paused()).isTrue();
    }

    @Test
    void whatHasEndedIsNotRecordedAgain() throws Exception {
        handOver(FIRST).writeForPostcopy();
        handOver(FIRST).postcopyEnded();
        handOver(FIRST).broken(1);
        handOver(SECOND).moved();

        assertThat(services.migrations().all()).isEmpty();
        assertThat(directory.resolve("migrations")).isEmptyDirectory();
    }

    @Test
    void aRecordOfAnEarlierReleaseIsRead() throws Exception {
        Files.writeString(directory.resolve("migrations").resolve("web01.json"), """
                {"role":"source","guest":"web01","uri":"tcp:192.0.2.1:4444","capabilities":[],"phase":"under-way"}""");

        assertThat(recorded().paused()).isFalse();
        assertThat(recorded().recoveryCount()).isZero();
    }
}
