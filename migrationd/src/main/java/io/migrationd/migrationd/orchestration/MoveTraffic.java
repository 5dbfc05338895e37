package io.migrationd.migrationd.orchestration;

import java.util.Map;
import java.util.Optional;

/**
 * What one end of a byte path has carried.
 *
 * @param bytesByChannel forward and reverse bytes, by a channel's name
 * @param tapState what the taps made of it, in words
 */
record MoveTraffic(Map<String, Long> bytesByChannel, Optional<String> tapState) {}
