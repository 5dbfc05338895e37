package io.migrationd.postcopy.fault;

import java.util.Map;
import java.util.TreeMap;

/**
 * How long each thread has waited for pages, and how long all of them did at once: all that have ever waited, as QEMU's
 * postcopy-blocktime has it of its vCPUs. Times are nanoseconds of one clock. Not thread-safe.
 */
final class Blocktime {
    /** A guest that starts new threads for ever must not fill our memory: later ones share the id 0. */
    static final int MAX_THREADS = 1024;

    private static final int OTHERS = 0;

    private final Map<Integer, Waiting> threads = new TreeMap<>();
    private int waiting;
    private long allSince;
    private long allNanos;

    private static final class Waiting {
        private int pages;
        private long since;
        private long nanos;
    }

    /** The thread waits for one page more: a signal handler may wait while what it interrupted does. */
    void begin(int thread, long now) {
        boolean allDid = isAll();
        Waiting entry = entryOf(thread);
        if (entry.pages++ == 0) {
            entry.since = now;
            waiting++;
            if (!allDid && isAll()) {
                allSince = now;
            }
        }
    }

    /** The thread waits for one page less. */
    void end(int thread, long now) {
        Waiting entry = entryOf(thread);
        if (--entry.pages == 0) {
            if (isAll()) {
                allNanos += now - allSince;
            }
            waiting--;
            entry.nanos += now - entry.since;
        }
    }

    /** The time all waited at once, what is still going on included. */
    long allNanos(long now) {
        return isAll() ? allNanos + now - allSince : allNanos;
    }

    /** The time each thread waited, what is still going on included. */
    Map<Integer, Long> threadNanos(long now) {
        Map<Integer, Long> all = new TreeMap<>();
        threads.forEach((thread, entry) -> all.put(thread, entry.nanos + (entry.pages > 0 ? now - entry.since : 0)));
        return all;
    }

    private boolean isAll() {
        return waiting > 0 && waiting == threads.size();
    }

    private Waiting entryOf(int thread) {
        Waiting known = threads.get(thread);
        if (known != null) {
            return known;
        }
        int id = threads.size() < MAX_THREADS ? thread : OTHERS;
        return threads.computeIfAbsent(id, _ -> new Waiting());
    }
}
