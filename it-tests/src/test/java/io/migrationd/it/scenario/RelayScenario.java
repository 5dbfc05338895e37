package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.fault.Conduct;
import io.migrationd.it.fault.ScriptedRelay;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.Crossing;
import io.migrationd.it.peer.MigratingQemus;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.RamReport;
import io.migrationd.migrationd.sample.SerialLog;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** What the tests of a relay between two QEMUs have in common: the guest, the steps, and what is asserted of copies. */
@ExtendWith(RealPeerReport.class)
@Timeout(90)
abstract class RelayScenario {
    static final Duration DEADLINE = Duration.ofSeconds(30);
    /** Long enough to see that something does not happen: what would happen takes some milliseconds. */
    static final Duration WINDOW = Duration.ofSeconds(2);

    static final long MEBIBYTE = 1 << 20;

    /** A precopy that goes on: see {@link Scenario}. */
    static final Map<String, Object> HOLD = Map.of("max-bandwidth", 2_000_000, "downtime-limit", 1);

    /** The next pass is the last. */
    static final Map<String, Object> LET_GO = Map.of("max-bandwidth", 1 << 30, "downtime-limit", 2000);

    /** Known to all QEMUs from 7.2 on, so that a guest can move between them. */
    private static final String MACHINE = "pc-i440fx-7.2";

    @TempDir
    Path folder;

    private Optional<ScriptedRelay> relay = Optional.empty();

    /** Each QEMU that the tests need, and the newest if it is there. */
    static Stream<QemuBinary> qemus() {
        return Stream.concat(QemuBinary.all().stream(), newest());
    }

    static Stream<QemuBinary> newest() {
        return Stream.of(QemuBinary.newest()).filter(qemu -> qemu.path().isPresent());
    }

    static boolean isOld(QemuBinary qemu) throws Exception {
        return qemu.majorVersion() < 8;
    }

    /** The steps of one test. */
    @FunctionalInterface
    interface Steps {
        void run(MigratingQemus qemus) throws Exception;
    }

    /** 4 MiB of pages that are written once, a quarter of a MiB that is written all the time. */
    BootGuest guest() {
        return BootGuest.standard(1).withRam(16, 4).resting();
    }

    /** With the running guest at the source, and with the return path on. */
    void withQemus(QemuBinary qemu, Arrival arrival, Steps steps) throws Exception {
        withQemus(qemu, qemu, MACHINE, arrival, steps);
    }

    void withQemus(QemuBinary sourceQemu, QemuBinary destinationQemu, String machine, Arrival arrival, Steps steps)
            throws Exception {
        assumeTrue(sourceQemu.path().isPresent(), sourceQemu.hint());
        assumeTrue(destinationQemu.path().isPresent(), destinationQemu.hint());
        Path firmware = Files.write(folder.resolve("guest.bin"), guest().firmware());
        List<String> arguments =
                new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none", "-machine", machine));
        arguments.addAll(guest().qemuArguments(firmware));
        try (MigratingQemus qemus = MigratingQemus.start(sourceQemu, destinationQemu, arguments, arrival, folder)) {
            try {
                qemus.enable("return-path");
                qemus.source().migration().cont();
                Scenario.awaitRound(SerialLog.of(qemus.source().serial()), 2);
                steps.run(qemus);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(e.getMessage() + "\n" + qemus.facts(), e);
            }
        }
    }

    /** A way across that keeps to {@code conduct}; it is {@link #relay()} from then on. */
    Crossing.Maker by(Conduct conduct) {
        return (sourceEnd, destinationEnd) -> {
            ScriptedCrossing crossing = ScriptedCrossing.between(sourceEnd, destinationEnd, conduct);
            relay = Optional.of(crossing.relay());
            return crossing;
        };
    }

    ScriptedRelay relay() {
        return relay.orElseThrow();
    }

    /** Precopy that goes on and on, in its second pass. */
    void startPrecopy(MigratingQemus qemus, Crossing.Maker way) throws Exception {
        qemus.source().migration().set(HOLD);
        qemus.migrate(way);
        qemus.source().migration().awaitPasses(2, DEADLINE);
    }

    void letGo(MigratingQemus qemus) throws Exception {
        qemus.source().migration().set(LET_GO);
    }

    /** Postcopy that takes some seconds, from the first pages on. */
    void startPostcopy(MigratingQemus qemus, Crossing.Maker way) throws Exception {
        limitPostcopy(qemus);
        qemus.migrate(way);
        qemus.startPostcopy();
    }

    void limitPostcopy(MigratingQemus qemus) throws Exception {
        qemus.source().migration().set(Map.of("max-bandwidth", 1_000_000, "max-postcopy-bandwidth", 1_000_000));
    }

    void hurryPostcopy(MigratingQemus qemus) throws Exception {
        qemus.source().migration().set(Map.of("max-postcopy-bandwidth", 0));
    }

    /** The cancel closes the connection first: a QEMU whose thread sees that before the cancel says that it failed. */
    void cancel(MigratingQemus qemus) throws Exception {
        qemus.source().migration().execute("migrate_cancel", Map.of());
        Await.until(
                "end of the migration",
                DEADLINE,
                () -> List.of("cancelled", "failed")
                        .contains(qemus.source().migration().status()),
                qemus::facts);
    }

    void awaitBoth(MigratingQemus qemus, String status) throws Exception {
        qemus.awaitSource(status);
        qemus.awaitDestination(status);
    }

    void awaitCopies(MigratingQemus qemus, int copies) throws Exception {
        Await.until(copies + " running copies", DEADLINE, () -> qemus.runningCopies() == copies, () -> states(qemus));
    }

    /** So many run for a while, not only for a moment. */
    void assertCopiesStay(MigratingQemus qemus, int copies) throws Exception {
        long end = System.nanoTime() + WINDOW.toNanos();
        while (System.nanoTime() < end) {
            assertThat(qemus.runningCopies()).as(states(qemus)).isEqualTo(copies);
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
        }
    }

    private static String states(MigratingQemus qemus) throws Exception {
        return "source %s, destination %s".formatted(state(qemus.source()), state(qemus.destination()));
    }

    private static String state(QemuProcess qemu) throws Exception {
        return qemu.isAlive()
                ? qemu.migration().runState() + " " + qemu.migration().info()
                : "has ended";
    }

    /** Whatever that QEMU's guest does, it makes progress. */
    void assertGuestGoesOn(QemuProcess qemu) throws Exception {
        SerialLog serial = SerialLog.of(qemu.serial());
        int lines = serial.lineCount();
        Await.until("the guest goes on", DEADLINE, () -> serial.lineCount() > lines + 2, qemu::facts);
    }

    /** The guest has moved: its output has no gap, its pages hold what they must, and it goes on. */
    void assertMoved(MigratingQemus qemus) throws Exception {
        SerialLog serial =
                SerialLog.of(qemus.source().serial(), qemus.destination().serial());
        Scenario.awaitRound(serial, serial.lastRound() + 3);
        qemus.destination().migration().stop();
        assertThat(serial.damage()).isEmpty();
        assertIntact(qemus.destination());
    }

    private void assertIntact(QemuProcess qemu) throws Exception {
        RamReport report = guest().verify(qemu.saveMemory("after", 0, guest().memoryBytes()));
        assertThat(report.damage()).isEmpty();
    }
}
