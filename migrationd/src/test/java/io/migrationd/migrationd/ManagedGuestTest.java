package io.migrationd.migrationd;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.journal.MigrationLedger;
import io.migrationd.migrationd.journal.OwnershipLedger;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.report.MigrationReportWriter;
import io.migrationd.migrationd.report.ReportStore;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.RecoverySettings;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Managed guest")
class ManagedGuestTest {
    private static final MigrationUri ELSEWHERE = MigrationUri.parse("tcp:192.0.2.1:4444");

    @TempDir
    private Path directory;

    private final Links links = new Links(1000, 1000);
    private final Meters meters = new Meters();
    private MigrationReportWriter reports;
    private OwnershipLedger ledger;
    private MigrationLedger migrations;
    private MemoryGuest guest;
    private ManagedGuest managed;

    @BeforeEach
    void manage() throws Exception {
        ledger = new OwnershipLedger(directory.resolve("ownership"));
        migrations = new MigrationLedger(directory.resolve("migrations"));
        reports = new MigrationReportWriter(
                new ReportStore(directory.resolve("reports"), 4), "here", InstantSource.system());
        guest = new MemoryGuest("web01").with("ram", 4);
        managed = new ManagedGuest(
                guest,
                new GuestServices(
                        links,
                        (name, event, data) -> {},
                        meters,
                        reports,
                        ledger,
                        migrations,
                        RecoverySettings.DEFAULTS,
                        1000,
                        1000,
                        1 << 20,
                        false));
    }

    @AfterEach
    void close() throws Exception {
        managed.close();
        guest.close();
        links.close();
        meters.close();
        reports.close();
    }

    @Test
    void aGuestThatWasGivenAwayNeitherRunsNorGoesElsewhere() throws Exception {
        ledger.release(guest, ELSEWHERE);

        assertThatThrownBy(() -> managed.cont())
                .isInstanceOf(CommandException.class)
                .hasMessageStartingWith("guest 'web01' was given to tcp:192.0.2.1:4444 at ");
        assertThatThrownBy(() -> managed.migrate("unix:" + directory.resolve("s")))
                .isInstanceOf(CommandException.class)
                .hasMessageContaining("would run it twice");
    }

    @Test
    void reclaimTakesItBackAndTheLedgerForgets() throws Exception {
        ledger.release(guest, ELSEWHERE);

        managed.reclaim();

        assertThat(ledger.isReleased(guest)).isFalse();
        assertThat(new OwnershipLedger(directory.resolve("ownership")).isReleased(guest))
                .isFalse();
        assertThatThrownBy(() -> managed.reclaim())
                .isInstanceOf(CommandException.class)
                .hasMessage("guest 'web01' was not given away");
    }

    @Test
    void listensBeyondLoopbackOnlyWhenAllowed() throws Exception {
        MemoryGuest waiting = new MemoryGuest("web02").with("ram", 4).incoming();
        try (ManagedGuest other = new ManagedGuest(
                waiting,
                new GuestServices(
                        links,
                        (name, event, data) -> {},
                        meters,
                        reports,
                        ledger,
                        migrations,
                        RecoverySettings.DEFAULTS,
                        1000,
                        1000,
                        1 << 20,
                        false))) {
            assertThatThrownBy(() -> other.migrateIncoming("tcp:0.0.0.0:0"))
                    .isInstanceOf(CommandException.class)
                    .hasMessageStartingWith("tcp:0.0.0.0:0 is not loopback");
        } finally {
            waiting.close();
        }
    }

    @Test
    void capabilitiesAreSetAllOrNone() {
        assertThatThrownBy(() -> managed.setCapabilities(Map.of(Capability.XBZRLE, true, Capability.MULTIFD, true)))
                .isInstanceOf(CommandException.class)
                .hasMessage("Capability 'multifd' is not supported by this daemon");
        assertThat(managed.capabilities()).isEmpty();
    }

    @Test
    void switchoverAckNeedsTheReturnPath() throws Exception {
        managed.setCapabilities(Map.of(Capability.SWITCHOVER_ACK, true));

        assertThatThrownBy(() -> managed.migrate("unix:" + directory.resolve("s")))
                .isInstanceOf(CommandException.class)
                .hasMessage("Capability 'switchover-ack' requires capability 'return-path'");
    }
}
