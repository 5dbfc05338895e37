package io.migrationd.protocol.stream;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;

/**
 * What the source says about its machine before the first section.
 *
 * @param machineType name without alias, for example {@code pc-i440fx-10.0}
 * @param targetPageBits log2 of the guest page size; absent when it is the implicit one of the target
 * @param capabilities the validated capabilities that are on, by QEMU's names, in the order sent
 * @param uuid present when capability validate-uuid is on and the machine has one
 */
public record Configuration(
        String machineType, OptionalInt targetPageBits, List<String> capabilities, Optional<UUID> uuid) {
    /** Copies the list. */
    public Configuration {
        capabilities = List.copyOf(capabilities);
    }

    /** A configuration without subsections. */
    public static Configuration of(String machineType) {
        return new Configuration(machineType, OptionalInt.empty(), List.of(), Optional.empty());
    }
}
