package io.migrationd.migrationd.sample;

import java.util.ArrayList;
import java.util.List;

/** Violations: how many, and the first ones in words. Any thread. */
final class Findings {
    private static final int KEPT = 16;

    private final List<String> first = new ArrayList<>();
    private long count;

    synchronized void add(String violation) {
        count++;
        if (first.size() < KEPT) {
            first.add(violation);
        }
    }

    synchronized long count() {
        return count;
    }

    synchronized List<String> first() {
        return List.copyOf(first);
    }

    synchronized void clear() {
        count = 0;
        first.clear();
    }
}
