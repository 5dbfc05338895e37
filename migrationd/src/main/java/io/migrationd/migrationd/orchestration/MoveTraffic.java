package io.migrationd.migrationd.orchestration;

import java.util.Map;
import java.util.Optional;

/**
 * What one end of a byte path has carried.
 *
 * @param bytesByChannel read from this host's QEMU and delivered to it, by a channel's name
 * @param stream what the taps made of it, at the source
 */
record MoveTraffic(Map<String, Long> bytesByChannel, Optional<SeenStream> stream) {}
