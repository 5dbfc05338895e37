package io.migrationd.migrationd.guest.qemu;

import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.UUID;

/**
 * A QEMU and the machine that it runs, for a preflight.
 *
 * @param name its {@code -name}, empty if it has none
 * @param uuid its {@code -uuid}, empty if it has none
 * @param machineType as in the stream's configuration, for example {@code pc-i440fx-7.2}
 * @param cpuModel for example {@code qemu64}; {@code host} and {@code max} are what the host makes of them
 * @param ramBytes as the guest sees it, with plugged memory
 * @param capabilities migration capabilities that it knows
 * @param parameters migration parameters that it knows
 * @param runState QEMU's
 * @param migrationStatus QEMU's
 */
public record QemuFacts(
        Optional<String> name,
        Optional<UUID> uuid,
        QemuVersion version,
        String machineType,
        String cpuModel,
        int vcpus,
        boolean kvm,
        long ramBytes,
        List<QemuBlock> blocks,
        SortedSet<String> capabilities,
        SortedSet<String> parameters,
        QemuRunState runState,
        String migrationStatus,
        List<String> blockedReasons) {}
