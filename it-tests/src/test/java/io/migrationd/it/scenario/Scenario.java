package io.migrationd.it.scenario;

import io.migrationd.it.guest.BootGuest;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * One way to migrate a {@link BootGuest}.
 *
 * @param capabilities to switch on at every end that knows them
 */
record Scenario(
        QemuBinary qemu,
        String machine,
        QemuMachine.Backend backend,
        int vcpus,
        Transport transport,
        Set<String> capabilities,
        List<String> devices) {
    /**
     * Slow enough that the guest is caught dirtying its RAM, small enough that the pass after next cannot be the last.
     */
    static final Map<String, Object> HOLD = Map.of("max-bandwidth", 12 << 20, "downtime-limit", 1);

    /** Lets the next pass be the last. */
    static final Map<String, Object> RELEASE = Map.of("max-bandwidth", 1 << 30, "downtime-limit", 2000);

    enum Transport {
        TCP,
        UNIX;

        String uri(Path folder, String name) {
            return this == TCP ? "tcp:127.0.0.1:0" : "unix:" + folder.resolve(name + ".mig");
        }
    }

    BootGuest guest() {
        return BootGuest.standard(vcpus);
    }

    QemuMachine qemuMachine(Path folder) throws IOException {
        Path firmware = folder.resolve("guest.bin");
        Files.write(firmware, guest().firmware());
        return new QemuMachine(machine, guest().memoryBytes(), vcpus, backend, firmware, devices);
    }

    void prepare(MigrationControl control) throws Exception {
        control.enable(capabilities.toArray(String[]::new));
    }

    @Override
    public String toString() {
        return "%s QEMU, %s, %s, %d vCPU, %s, %s%s"
                .formatted(
                        qemu,
                        machine,
                        backend.name().toLowerCase(java.util.Locale.ROOT),
                        vcpus,
                        transport.name().toLowerCase(java.util.Locale.ROOT),
                        capabilities.isEmpty() ? "no capabilities" : String.join("+", new TreeSet<>(capabilities)),
                        devices.isEmpty() ? "" : ", " + devices.size() / 2 + " more devices");
    }
}
