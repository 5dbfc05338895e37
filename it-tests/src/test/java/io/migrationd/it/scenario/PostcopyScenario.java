package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.scenario.Scenario.Transport;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.RamReport;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * A {@link BootGuest} with enough pages to be in the middle of a postcopy, in QEMUs of one version.
 *
 * @param preempt requested pages come over a connection of their own
 * @param cuts how often the link breaks in the middle
 * @param comeback who brings it back
 */
record PostcopyScenario(
        QemuBinary qemu,
        boolean preempt,
        Backend backend,
        int vcpus,
        Transport transport,
        int cuts,
        Comeback comeback) {
    /** Of precopy and of what nobody waits for: the 8 MiB of cold pages take some seconds. */
    private static final Map<String, Object> SLOW =
            Map.of("max-bandwidth", 1_500_000, "max-postcopy-bandwidth", 1_500_000);

    private static final Map<String, Object> FAST = Map.of("max-postcopy-bandwidth", 0);

    private static final int COLD_PAGES = 2048;

    /** How a paused migration goes on. */
    enum Comeback {
        /** An operator names the new address to the source. */
        BY_HAND,
        /** The source dials the old address until somebody answers. */
        BY_ITSELF
    }

    static PostcopyScenario of(QemuBinary qemu, boolean preempt, Backend backend, int vcpus, Transport transport) {
        return new PostcopyScenario(qemu, preempt, backend, vcpus, transport, 0, Comeback.BY_HAND);
    }

    PostcopyScenario cut(int times, Comeback how) {
        return new PostcopyScenario(qemu, preempt, backend, vcpus, transport, times, how);
    }

    void assumeQemu() {
        assumeTrue(qemu.path().isPresent(), qemu.hint());
    }

    BootGuest guest() {
        BootGuest standard = BootGuest.standard(vcpus);
        return new BootGuest(vcpus, COLD_PAGES, standard.hotPages(), standard.blinkPages(), standard.delayLoops());
    }

    /** A QEMU with the running guest. */
    QemuProcess startSource(Path folder) throws Exception {
        QemuProcess source = QemuProcess.start(qemu, "a", machine(folder), folder);
        source.migration().cont();
        Scenario.awaitRound(SerialLog.of(source.serial()), 3);
        return source;
    }

    /** A QEMU that waits, and lets the guest run when it is told to by the stream. */
    QemuProcess startDestination(Path folder) throws Exception {
        QemuProcess destination = QemuProcess.startIncoming(qemu, "b", machine(folder), folder);
        destination.migration().cont();
        return destination;
    }

    private QemuMachine machine(Path folder) throws IOException {
        Path firmware = Files.write(folder.resolve("guest.bin"), guest().firmware());
        return new QemuMachine("pc", guest().memoryBytes(), vcpus, backend, firmware, false, Optional.empty());
    }

    /** Switches on what both ends need. */
    void enable(MigrationControl control) throws Exception {
        control.enable("postcopy-ram");
        if (preempt) {
            control.enable("postcopy-preempt");
        }
    }

    /** Sends the guest to {@code uri} and has it run there before most of its RAM has left. */
    void migrateByPostcopy(MigrationControl source, String uri) throws Exception {
        source.set(SLOW);
        source.migrate(uri);
        source.startPostcopy();
    }

    /** Lets the rest go as fast as it can. */
    void hurry(MigrationControl source) throws Exception {
        source.set(FAST);
    }

    /** The guest runs on without a gap in its output, and each page holds what it must. */
    void verifyRunsOn(QemuProcess source, QemuProcess destination, int rounds) throws Exception {
        SerialLog serial = SerialLog.of(source.serial(), destination.serial());
        Scenario.awaitRound(serial, rounds + 10);
        destination.migration().stop();
        assertThat(serial.damage()).isEmpty();
        RamReport after = guest().verify(destination.saveMemory("after", 0, guest().memoryBytes()));
        assertThat(after.damage()).isEmpty();
        // Under TCG one virtual CPU may be far behind another.
        assertThat(after.rounds().getFirst()).isGreaterThan(rounds);
    }

    @Override
    public String toString() {
        return "%s QEMU, %s, %d vCPU, %s%s%s"
                .formatted(
                        qemu,
                        lower(backend),
                        vcpus,
                        lower(transport),
                        preempt ? ", preempt" : "",
                        cuts == 0 ? "" : ", cut %d times, comes back %s".formatted(cuts, lower(comeback)));
    }

    private static String lower(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', ' ');
    }
}
