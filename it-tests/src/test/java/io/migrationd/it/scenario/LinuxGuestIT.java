package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.fault.Conduct;
import io.migrationd.it.guest.GuestLan;
import io.migrationd.it.guest.LinuxGuest;
import io.migrationd.it.guest.LinuxLog;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigratingQemus;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A Linux guest moves between real QEMUs: pages, clock and one TCP connection stay whole. */
@DisplayName("Linux guest")
@ExtendWith(RealPeerReport.class)
@Timeout(180)
class LinuxGuestIT {
    private static final Duration BOOT_DEADLINE = Duration.ofSeconds(60);
    private static final Duration DEADLINE = Duration.ofSeconds(60);
    private static final String MACHINE = "pc-i440fx-7.2";

    @TempDir
    private Path folder;

    static Stream<Arguments> moves() {
        QemuBinary system = QemuBinary.system();
        QemuBinary newer = QemuBinary.newer();
        return Stream.of(
                Arguments.of(system, system, 1, false),
                Arguments.of(newer, newer, 2, true),
                Arguments.of(system, newer, 2, false),
                Arguments.of(system, newer, 1, true));
    }

    @ParameterizedTest(name = "{displayName}: {0} to {1}, {2} vCPU, postcopy {3}")
    @MethodSource("moves")
    void linuxDoesNotNotice(QemuBinary sourceQemu, QemuBinary destinationQemu, int vcpus, boolean postcopy)
            throws Exception {
        assumeTrue(sourceQemu.path().isPresent(), sourceQemu.hint());
        assumeTrue(destinationQemu.path().isPresent(), destinationQemu.hint());
        assumeTrue(LinuxGuest.installed().isPresent(), LinuxGuest.HINT);
        LinuxGuest guest = LinuxGuest.standard(LinuxGuest.installed().get(), vcpus);
        try (GuestLan lan = GuestLan.start(folder.resolve("lan"))) {
            List<String> arguments = guest.qemuArguments(MACHINE, guest.initramfs(folder), lan.netdev());
            try (MigratingQemus qemus =
                    MigratingQemus.start(sourceQemu, destinationQemu, arguments, Arrival.RUNS, folder)) {
                try {
                    boot(qemus);
                    lan.connect(DEADLINE);
                    lan.echo("before", DEADLINE);
                    move(qemus, postcopy);
                    verify(qemus, lan);
                } catch (Exception | AssertionError e) {
                    throw new AssertionError(e.getMessage() + "\n" + qemus.facts(), e);
                }
            }
        }
    }

    @SuppressWarnings("SystemOut") // The figure is for the log of the build.
    private static void boot(MigratingQemus qemus) throws Exception {
        long start = System.nanoTime();
        qemus.source().migration().cont();
        LinuxLog log = LinuxLog.of(qemus.source().serial());
        awaitLine(log, 2, qemus);
        System.out.printf(
                "linux guest: 2 lines %d ms after start%n", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start));
        assertThat(log.clockSource()).contains("acpi_pm");
    }

    private static void move(MigratingQemus qemus, boolean postcopy) throws Exception {
        qemus.enable("return-path");
        if (postcopy) {
            qemus.enable("postcopy-ram");
            qemus.source().migration().set(Map.of("max-bandwidth", 8 << 20, "max-postcopy-bandwidth", 8 << 20));
        } else {
            qemus.source().migration().set(Map.of("max-bandwidth", 1 << 30, "downtime-limit", 1000));
        }
        qemus.migrate((source, destination) -> ScriptedCrossing.between(source, destination, Conduct.good()));
        if (postcopy) {
            qemus.startPostcopy();
        }
        qemus.awaitSource("completed");
        qemus.awaitDestination("completed");
    }

    private static void verify(MigratingQemus qemus, GuestLan lan) throws Exception {
        LinuxLog log = LinuxLog.of(qemus.source().serial(), qemus.destination().serial());
        LinuxLog.Line before = log.last().orElseThrow();
        lan.echo("the connection is the one from before", DEADLINE);
        awaitLine(log, before.number() + 4, qemus);
        lan.echo("and it goes on", DEADLINE);
        assertThat(log.damage()).isEmpty();
        LinuxLog.Line after = log.last().orElseThrow();
        assertThat(after.pageWrites()).isGreaterThan(before.pageWrites());
        assertThat(after.pagesChecked()).isGreaterThan(before.pagesChecked());
    }

    private static void awaitLine(LinuxLog log, long number, MigratingQemus qemus) throws Exception {
        Await.until(
                "line " + number,
                BOOT_DEADLINE,
                () -> log.last().filter(line -> line.number() >= number).isPresent(),
                () -> log.last() + " " + log.damage() + " " + qemus.facts());
    }
}
