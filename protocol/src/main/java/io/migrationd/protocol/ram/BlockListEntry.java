package io.migrationd.protocol.ram;

/**
 * One block of the MEM_SIZE record.
 *
 * @param offset of the entry in the stream
 * @param lengthBytes used length, a multiple of the guest page
 * @param pageSizeBytes the block's page size if it was announced, else 0
 */
public record BlockListEntry(long offset, String name, long lengthBytes, long pageSizeBytes) {}
