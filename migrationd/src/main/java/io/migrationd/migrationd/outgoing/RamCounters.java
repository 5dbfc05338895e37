package io.migrationd.migrationd.outgoing;

import java.util.concurrent.atomic.AtomicLong;

/** What the RAM sender has done. The migration thread adds per batch, any thread reads. */
final class RamCounters {
    final AtomicLong zeroPages = new AtomicLong();
    final AtomicLong normalPages = new AtomicLong();
    final AtomicLong dirtySyncs = new AtomicLong();
    final AtomicLong remainingBytes = new AtomicLong();
    /** Pages per second dirtied between the last two looks at the dirty log. */
    final AtomicLong dirtyPagesRate = new AtomicLong();

    final AtomicLong xbzrlePages = new AtomicLong();
    final AtomicLong xbzrleBytes = new AtomicLong();
    final AtomicLong xbzrleCacheMisses = new AtomicLong();
    final AtomicLong xbzrleOverflows = new AtomicLong();
}
