package io.migrationd.protocol.inspect;

import java.util.LinkedHashMap;
import java.util.Map;

/** Counts by name, in the order of first appearance. */
final class Totals {
    private final Map<String, Long> counts = new LinkedHashMap<>();

    void add(String name, long amount) {
        counts.merge(name, amount, Long::sum);
    }

    void addAll(Totals other) {
        other.counts.forEach(this::add);
    }

    long get(String name) {
        return counts.getOrDefault(name, 0L);
    }

    Map<String, Long> asMap() {
        return counts;
    }
}
