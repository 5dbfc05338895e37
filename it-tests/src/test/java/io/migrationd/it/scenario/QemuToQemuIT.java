package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.guest.BootGuest;
import io.migrationd.it.guest.RamReport;
import io.migrationd.it.guest.SerialLog;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.peer.RamImages;
import io.migrationd.it.scenario.Scenario.Transport;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
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
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    @TempDir
    private Path folder;

    static Stream<Scenario> scenarios() {
        List<String> vga = List.of("-device", "VGA");
        return QemuBinary.all().stream()
                .flatMap(qemu -> Stream.of(
                        new Scenario(qemu, "pc", Backend.PLAIN, 1, Transport.UNIX, Set.of(), List.of()),
                        new Scenario(qemu, "pc", Backend.RAM, 2, Transport.TCP, Set.of("xbzrle"), List.of()),
                        new Scenario(
                                qemu, "q35", Backend.MEMFD, 2, Transport.UNIX, Set.of("xbzrle", "return-path"), vga),
                        new Scenario(qemu, "q35", Backend.PLAIN, 1, Transport.TCP, Set.of("return-path"), List.of())));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("scenarios")
    @Timeout(120)
    void guestRunsOnAtTheDestination(Scenario scenario) throws Exception {
        assumeTrue(scenario.qemu().path().isPresent(), scenario.qemu().hint());
        BootGuest guest = scenario.guest();
        QemuMachine machine = scenario.qemuMachine(folder);
        try (QemuProcess source = QemuProcess.start(scenario.qemu(), "a", machine, folder);
                QemuProcess destination = QemuProcess.startIncoming(scenario.qemu(), "b", machine, folder)) {
            scenario.prepare(source.migration());
            scenario.prepare(destination.migration());
            source.migration().cont();
            awaitRound(SerialLog.of(source.serial()), 3);

            source.migration().set(Scenario.HOLD);
            source.migration()
                    .migrate(destination
                            .migration()
                            .incoming(scenario.transport().uri(folder, "b")));
            source.migration().awaitPasses(3, DEADLINE);
            source.migration().set(Scenario.RELEASE);
            source.migration().awaitStatus("completed", DEADLINE);
            destination.migration().awaitStatus("completed", DEADLINE);
            assertThat(source.migration().runState()).isEqualTo("postmigrate");

            Path sent = source.saveMemory("sent", 0, guest.memoryBytes());
            Path arrived = destination.saveMemory("arrived", 0, guest.memoryBytes());
            assertThat(RamImages.difference(sent, arrived)).isEmpty();
            RamReport before = guest.verify(arrived);
            assertThat(before.damage()).isEmpty();

            destination.migration().cont();
            SerialLog serial = SerialLog.of(source.serial(), destination.serial());
            // Each cold page is checked once by the guest itself.
            awaitRound(serial, before.rounds().getFirst() + 10);
            destination.migration().stop();
            assertThat(serial.damage()).isEmpty();
            RamReport after = guest.verify(destination.saveMemory("after", 0, guest.memoryBytes()));
            assertThat(after.damage()).isEmpty();
            for (int vcpu = 0; vcpu < scenario.vcpus(); vcpu++) {
                assertThat(after.rounds().get(vcpu))
                        .isGreaterThan(before.rounds().get(vcpu));
            }
        }
    }

    private static void awaitRound(SerialLog serial, int round) throws Exception {
        Await.until("round " + round, DEADLINE, () -> serial.lastRound() >= round, () -> {
            return "round " + serial.lastRound() + ", damage " + serial.damage();
        });
    }
}
