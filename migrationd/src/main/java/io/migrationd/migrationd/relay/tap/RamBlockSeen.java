package io.migrationd.migrationd.relay.tap;

/**
 * A RAM block as the stream announced it.
 *
 * @param lengthBytes used length; 0 if only its name was seen, on a recovery connection
 * @param pageSizeBytes of the block if it was announced, else 0: the base size
 */
public record RamBlockSeen(String name, long lengthBytes, long pageSizeBytes) {}
