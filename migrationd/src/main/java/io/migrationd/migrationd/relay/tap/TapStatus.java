package io.migrationd.migrationd.relay.tap;

import java.util.Optional;

/**
 * What a tap knows about itself.
 *
 * @param reason why it is lost, in words
 * @param offset where it was lost, else how far it has parsed; counted from the start of the channel
 * @param bytes all bytes that have passed
 * @param unparsedBytes those of them that were not understood
 */
public record TapStatus(TapState state, Optional<String> reason, long offset, long bytes, long unparsedBytes) {}
