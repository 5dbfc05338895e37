package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.peer.RamImages;
import io.migrationd.it.scenario.Scenario.Extra;
import io.migrationd.migrationd.sample.RamReport;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Proves the guest and the harness without us: what fails here is not our daemon. */
@DisplayName("QEMU to QEMU")
@ExtendWith(RealPeerReport.class)
class QemuToQemuIT {
    @TempDir
    private Path folder;

    /** Those with two vCPUs cover all that may go wrong in the harness. */
    static Stream<Scenario> scenarios() {
        return Scenarios.all().filter(scenario -> scenario.vcpus() == 2);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scenarios")
    @Timeout(180)
    void guestRunsOnAtTheDestination(Scenario scenario) throws Exception {
        scenario.assumeBothQemus();
        LostWrite.forgivingOne(folder, attempt -> migrate(scenario, attempt));
    }

    private static void migrate(Scenario scenario, Path folder) throws Exception {
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder)) {
            String uri = destination.migration().incoming(scenario.transport().uri(folder, "b"));
            scenario.migrateLive(source, uri);
            destination.migration().awaitStatus("completed", Scenario.DEADLINE);

            long ramBytes = scenario.guest().memoryBytes();
            Path arrived = destination.saveMemory("arrived", 0, ramBytes);
            LostWrite.check(RamImages.difference(source.saveMemory("sent", 0, ramBytes), arrived));
            RamReport report = scenario.guest().verify(arrived);
            assertThat(report.damage()).isEmpty();
            if (scenario.has(Extra.DIMM)) {
                assertThat(destination.saveDimm("dimm")).hasBinaryContent(scenario.dimmContent());
            }
            scenario.verifyRunsOn(source, destination, report);
        }
    }
}
