package io.migrationd.migrationd.outgoing;

/**
 * What is known of a stream that somebody else began and that this migration goes on with, or says again: a destination
 * that has read it knows sections by its ids, and a machine by its words.
 *
 * @param ramSectionId the id of section {@code ram}
 * @param head header and configuration, byte for byte; said again by a migration that starts from the beginning
 * @param devices device sections with their headers and footers, byte for byte; said again in the same case
 */
public record OriginalStream(int ramSectionId, byte[] head, byte[] devices) {}
