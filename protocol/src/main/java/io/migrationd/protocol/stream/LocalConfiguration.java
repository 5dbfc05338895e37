package io.migrationd.protocol.stream;

import java.util.Optional;
import java.util.Set;
import java.util.UUID;

/**
 * What this side would have sent: the measure of a received configuration.
 *
 * @param targetPageBits log2 of the guest page size
 * @param implicitPageBits what an absent target-page-bits subsection means on this target: 12 nearly everywhere, 10 on
 *     Arm
 * @param capabilities all capabilities that are on here, by QEMU's names; only validated ones are compared
 * @param uuid the machine's, if it has one
 */
public record LocalConfiguration(
        String machineType, int targetPageBits, int implicitPageBits, Set<String> capabilities, Optional<UUID> uuid) {
    /** Copies the set. */
    public LocalConfiguration {
        capabilities = Set.copyOf(capabilities);
    }
}
