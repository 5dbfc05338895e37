package io.migrationd.migrationd.guest.qemu;

import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.UUID;

/**
 * What a destination host has for one guest, for a preflight.
 *
 * @param daemonVersion of its migrationd
 * @param uuid of its definition of that guest, empty if it has none
 * @param way how the guest may arrive
 * @param qemu what its QEMU can do, empty if that could not be found out
 * @param waiting the QEMU that waits already, or was just started
 * @param kvm whether KVM may be used
 * @param userfaultfd whether postcopy can be served
 * @param userfaultfdRemedy what to do if not
 * @param availableBytes memory that may be had without swapping
 * @param clashes guests there that stand in the way
 * @param problems why something could not be found out
 */
public record TargetFacts(
        String daemonVersion,
        Optional<UUID> uuid,
        Way way,
        Optional<QemuAbilities> qemu,
        Optional<QemuFacts> waiting,
        boolean kvm,
        boolean userfaultfd,
        String userfaultfdRemedy,
        long availableBytes,
        List<String> clashes,
        List<String> problems) {
    /** How a guest may arrive. */
    public enum Way {
        /** It may not. */
        NONE,
        /** The daemon starts a QEMU. */
        START,
        /** A QEMU waits. */
        WAITING
    }

    /** What a QEMU program can do. */
    public record QemuAbilities(
            QemuVersion version,
            SortedSet<String> machineTypes,
            SortedSet<String> cpuModels,
            SortedSet<String> capabilities,
            SortedSet<String> parameters) {}
}
