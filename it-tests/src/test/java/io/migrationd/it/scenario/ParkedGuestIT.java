package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.peer.RamImages;
import io.migrationd.it.scenario.Scenario.Extra;
import io.migrationd.migrationd.sample.RamReport;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
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
    private static final String GUEST = "web01";

    @TempDir
    private Path folder;

    static Stream<Scenario> scenarios() {
        return Scenarios.all();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scenarios")
    @Timeout(180)
    void guestIsParkedAndRunsOnElsewhere(Scenario scenario) throws Exception {
        scenario.assumeBothQemus();
        try (DaemonProcess daemon = DaemonProcess.start(Files.createDirectory(folder.resolve("d")))) {
            try {
                parkAndRunOn(scenario, daemon);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(daemon.facts(), e);
            }
        }
    }

    private void parkAndRunOn(Scenario scenario, DaemonProcess daemon) throws Exception {
        try (QemuProcess source = scenario.startSource(folder)) {
            MigrationControl parked = daemon.park(GUEST);
            scenario.prepare(parked);
            scenario.migrateLive(source, parked.incoming(scenario.transport().uri(folder, "d")));
            parked.awaitStatus("completed", Scenario.DEADLINE);

            Path sent = source.saveMemory("sent", 0, scenario.guest().memoryBytes());
            RamReport report = verifyParked(scenario, daemon, sent);
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
    private RamReport verifyParked(Scenario scenario, DaemonProcess daemon, Path sent) throws Exception {
        Path parkedRam = daemon.parkedRam(GUEST, scenario.backend().blockName());
        assertThat(RamImages.difference(sent, parkedRam)).isEmpty();
        assertThat(daemon.parkedRam(GUEST, "pc.bios"))
                .hasBinaryContent(scenario.guest().firmware());
        if (scenario.has(Extra.DIMM)) {
            assertThat(daemon.parkedRam(GUEST, QemuMachine.DIMM_BLOCK)).hasBinaryContent(scenario.dimmContent());
        }
        RamReport report = scenario.guest().verify(parkedRam);
        assertThat(report.damage()).isEmpty();
        return report;
    }
}
