package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.peer.RamImages;
import io.migrationd.it.scenario.Scenario.Extra;
import io.migrationd.migrationd.sample.RamReport;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A running guest of a real QEMU is parked in our daemon, and goes on in another QEMU from there. */
@DisplayName("Parked guest")
@ExtendWith(RealPeerReport.class)
class ParkedGuestIT {
    private static DaemonProcess daemon;
    private static int guests;

    @TempDir
    private Path folder;

    static Stream<Scenario> scenarios() {
        return Scenarios.all();
    }

    @BeforeAll
    static void startDaemon(@TempDir Path folder) throws Exception {
        daemon = DaemonProcess.start(folder);
    }

    @AfterAll
    static void stopDaemon() {
        daemon.close();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scenarios")
    @Timeout(180)
    void guestIsParkedAndRunsOnElsewhere(Scenario scenario) throws Exception {
        scenario.assumeBothQemus();
        try {
            LostWrite.forgivingOne(folder, attempt -> parkAndRunOn(scenario, attempt, "web" + ++guests));
        } catch (Exception | AssertionError e) {
            throw new AssertionError(e.getMessage() + "\n" + daemon.facts(), e);
        }
    }

    private static void parkAndRunOn(Scenario scenario, Path folder, String guest) throws Exception {
        try (QemuProcess source = scenario.startSource(folder)) {
            MigrationControl parked = daemon.park(guest);
            scenario.prepare(parked);
            scenario.migrateLive(source, parked.incoming(scenario.transport().uri(folder, "d")));
            parked.awaitStatus("completed", Scenario.DEADLINE);

            Path sent = source.saveMemory("sent", 0, scenario.guest().memoryBytes());
            RamReport report = verifyParked(scenario, guest, sent);
            try (QemuProcess destination = scenario.startDestination(folder)) {
                parked.migrate(
                        destination.migration().incoming(scenario.transport().uri(folder, "b")));
                destination.migration().awaitStatus("completed", Scenario.DEADLINE);
                parked.awaitStatus("completed", Scenario.DEADLINE);

                Path arrived =
                        destination.saveMemory("arrived", 0, scenario.guest().memoryBytes());
                assertThat(RamImages.difference(sent, arrived)).isEmpty();
                if (scenario.has(Extra.DIMM)) {
                    assertThat(destination.saveDimm("dimm")).hasBinaryContent(scenario.dimmContent());
                }
                scenario.verifyRunsOn(source, destination, report);
            }
        }
    }

    /** The daemon holds what the QEMU shows after it stopped. */
    private static RamReport verifyParked(Scenario scenario, String guest, Path sent) throws Exception {
        Path parkedRam = daemon.parkedRam(guest, scenario.backend().blockName());
        LostWrite.check(RamImages.difference(sent, parkedRam));
        assertThat(daemon.parkedRam(guest, "pc.bios"))
                .hasBinaryContent(scenario.guest().firmware());
        if (scenario.has(Extra.DIMM)) {
            assertThat(daemon.parkedRam(guest, QemuMachine.DIMM_BLOCK)).hasBinaryContent(scenario.dimmContent());
        }
        RamReport report = scenario.guest().verify(parkedRam);
        assertThat(report.damage()).isEmpty();
        return report;
    }
}
