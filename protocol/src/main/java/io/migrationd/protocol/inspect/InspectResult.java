package io.migrationd.protocol.inspect;

import java.util.Map;
import java.util.Optional;

/**
 * What an inspection comes to.
 *
 * @param kind what the capture is, in words
 * @param totals counts by name, for example {@code page} or {@code cmd PING}
 * @param fault the first thing that is wrong; absent if the capture is fine to its last byte
 */
public record InspectResult(String kind, Map<String, Long> totals, Optional<Fault> fault) {
    /**
     * The first fault, where nothing behind it can be trusted.
     *
     * @param offset in the file
     * @param truncated true if the capture just ends there
     * @param message one line
     */
    public record Fault(long offset, boolean truncated, String message) {}
}
