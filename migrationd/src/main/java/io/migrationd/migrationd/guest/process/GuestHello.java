package io.migrationd.migrationd.guest.process;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * How a VMM introduces its guest. Numbers are what the VMM claims, within the limits of {@link GuestProtocol}.
 *
 * @param pid as the VMM sees itself; the credential of the socket decides
 * @param descriptorCount how many descriptors came with the message, the userfaultfd first
 * @param devices layouts of its device sections, in the order in which they are sent
 * @param postcopy the VMM promises that every access to guest memory may wait for the daemon, and that its userfaultfd
 *     sees all of them
 */
public record GuestHello(
        String name,
        Optional<UUID> uuid,
        long pid,
        String machineType,
        int targetPageSizeBytes,
        GuestMode mode,
        int descriptorCount,
        List<Region> regions,
        List<JsonNode> devices,
        boolean postcopy) {
    /**
     * One RAM block: contiguous in the VMM's address space and in its memfd.
     *
     * @param name of the block on the wire
     * @param guestPhysical where the guest sees its first byte
     * @param hostVirtual where the VMM sees its first byte
     * @param pageSizeBytes the page size that backs it
     * @param descriptorIndex the memfd's place among the descriptors, counted from 1: 0 is the userfaultfd
     * @param offset of the first byte in the memfd
     */
    public record Region(
            String name,
            long guestPhysical,
            long hostVirtual,
            long lengthBytes,
            int pageSizeBytes,
            int descriptorIndex,
            long offset) {}
}
