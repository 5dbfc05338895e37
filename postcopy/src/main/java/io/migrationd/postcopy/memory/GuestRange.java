package io.migrationd.postcopy.memory;

/**
 * Where a block lies in the process that runs the guest.
 *
 * @param blockName as {@link RamBlock#name}
 * @param hostVirtual address of its first byte there
 * @param lengthBytes as {@link RamBlock#lengthBytes}
 */
public record GuestRange(String blockName, long hostVirtual, long lengthBytes) {
    /** Rejects what no mapping can be; the end must not pass that of the address space. */
    public GuestRange {
        if (hostVirtual <= 0 || lengthBytes <= 0 || hostVirtual > Long.MAX_VALUE - lengthBytes) {
            throw new IllegalArgumentException(
                    "block %s of %d bytes at %#x".formatted(blockName, lengthBytes, hostVirtual));
        }
    }

    /** Address behind its last byte. */
    public long endHostVirtual() {
        return hostVirtual + lengthBytes;
    }
}
