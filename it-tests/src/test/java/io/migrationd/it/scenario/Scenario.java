package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.RamReport;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.TreeSet;

/**
 * One way to migrate a {@link BootGuest}, and the steps that do not depend on what lies between the two QEMUs.
 *
 * @param capabilities to switch on at every end
 */
record Scenario(
        QemuBinary sourceQemu,
        QemuBinary destinationQemu,
        String machine,
        QemuMachine.Backend backend,
        int vcpus,
        Transport transport,
        Set<String> capabilities,
        Set<Extra> extras) {
    static final Duration DEADLINE = Duration.ofSeconds(60);

    /**
     * Keeps the migration going for some passes: QEMU hands out bandwidth for 100 ms at a time, and what the guest
     * dirties meanwhile is more than fits into the next 100 ms. It ends by itself only when delta pages make the passes
     * so short that nothing is dirty after one. (A downtime limit of 0 would not do: QEMU then ends after the first.)
     */
    private static final Map<String, Object> HOLD = Map.of("max-bandwidth", 2_000_000, "downtime-limit", 1);

    /** Lets the next pass be the last. */
    private static final Map<String, Object> RELEASE = Map.of("max-bandwidth", 1 << 30, "downtime-limit", 2000);

    private static final int DIMM_BYTES = 2 << 20;

    enum Transport {
        TCP,
        UNIX;

        String uri(Path folder, String name) {
            return this == TCP ? "tcp:127.0.0.1:0" : "unix:" + folder.resolve(name + ".mig");
        }
    }

    /** What adds RAM blocks. */
    enum Extra {
        VGA,
        DIMM
    }

    BootGuest guest() {
        return BootGuest.standard(vcpus);
    }

    void assumeBothQemus() {
        assumeTrue(sourceQemu.path().isPresent(), sourceQemu.hint());
        assumeTrue(destinationQemu.path().isPresent(), destinationQemu.hint());
    }

    /** A stopped QEMU with the guest; its DIMM holds {@link #dimmContent()}. */
    QemuProcess startSource(Path folder) throws Exception {
        QemuProcess source = QemuProcess.start(sourceQemu, "a", qemuMachine(folder, "a", dimmContent()), folder);
        prepare(source.migration());
        return source;
    }

    /** A QEMU that waits; all its RAM is zero. */
    QemuProcess startDestination(Path folder) throws Exception {
        QemuMachine machine = qemuMachine(folder, "b", new byte[DIMM_BYTES]);
        QemuProcess destination = QemuProcess.startIncoming(destinationQemu, "b", machine, folder);
        prepare(destination.migration());
        return destination;
    }

    /** Lets the guest run, sends it to {@code uri} and lets it arrive only after several passes over its RAM. */
    void migrateLive(QemuProcess source, String uri) throws Exception {
        MigrationControl control = source.migration();
        control.cont();
        awaitRound(SerialLog.of(source.serial()), 3);
        control.set(HOLD);
        control.migrate(uri);
        control.awaitPasses(3, DEADLINE);
        control.set(RELEASE);
        control.awaitStatus("completed", DEADLINE);
        // QEMU 7.2 says completed a moment before it enters the run state.
        control.awaitRunState("postmigrate", DEADLINE);
        assertThat(control.info().path("xbzrle-cache").path("pages").asInt() > 0)
                .as("delta pages were sent")
                .isEqualTo(capabilities.contains("xbzrle"));
    }

    /** Lets the guest run on at the destination: its output goes on without a gap, its RAM stays consistent. */
    void verifyRunsOn(QemuProcess source, QemuProcess destination, RamReport before) throws Exception {
        destination.migration().cont();
        SerialLog serial = SerialLog.of(source.serial(), destination.serial());
        awaitRound(serial, before.rounds().getFirst() + 10);
        destination.migration().stop();
        assertThat(serial.damage()).isEmpty();
        RamReport after = guest().verify(destination.saveMemory("after", 0, guest().memoryBytes()));
        assertThat(after.damage()).isEmpty();
        for (int vcpu = 0; vcpu < vcpus; vcpu++) {
            assertThat(after.rounds().get(vcpu)).isGreaterThan(before.rounds().get(vcpu));
        }
    }

    void prepare(MigrationControl control) throws Exception {
        control.enable(capabilities.toArray(String[]::new));
    }

    boolean has(Extra extra) {
        return extras.contains(extra);
    }

    /** Noise, with each eighth page zero. */
    byte[] dimmContent() {
        byte[] content = new byte[DIMM_BYTES];
        new Random(42).nextBytes(content);
        for (int page = 0; page < DIMM_BYTES / BootGuest.PAGE_BYTES; page += 8) {
            int start = page * BootGuest.PAGE_BYTES;
            Arrays.fill(content, start, start + BootGuest.PAGE_BYTES, (byte) 0);
        }
        return content;
    }

    private QemuMachine qemuMachine(Path folder, String name, byte[] dimmContent) throws IOException {
        Path firmware = Files.write(folder.resolve("guest.bin"), guest().firmware());
        Optional<Path> dimm = Optional.empty();
        if (has(Extra.DIMM)) {
            dimm = Optional.of(Files.write(folder.resolve(name + ".dimm"), dimmContent));
        }
        return new QemuMachine(machine, guest().memoryBytes(), vcpus, backend, firmware, has(Extra.VGA), dimm);
    }

    static void awaitRound(SerialLog serial, int round) throws Exception {
        Await.until(
                "round " + round,
                DEADLINE,
                () -> serial.lastRound() >= round,
                () -> "round " + serial.lastRound() + ", damage " + serial.damage());
    }

    @Override
    public String toString() {
        String qemus = sourceQemu.equals(destinationQemu) ? sourceQemu.name() : sourceQemu + " to " + destinationQemu;
        return "%s QEMU, %s, %s, %d vCPU, %s, %s%s"
                .formatted(
                        qemus,
                        machine,
                        lower(backend),
                        vcpus,
                        lower(transport),
                        capabilities.isEmpty() ? "no capabilities" : String.join("+", new TreeSet<>(capabilities)),
                        extras.isEmpty() ? "" : ", " + lower(new TreeSet<>(extras)));
    }

    private static String lower(Object value) {
        return value.toString().toLowerCase(Locale.ROOT);
    }
}
