package io.migrationd.migrationd.outgoing;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Host pages that the destination has asked for, first come first served, none twice. The return path's thread fills it
 * and never waits; one other thread empties it. It holds at most {@link #CAPACITY} pages, whatever the destination asks
 * for: what does not fit is dropped, and comes with the background pages like every other page.
 */
final class PageQueue {
    /** Host pages at most; more than a guest has threads to wait for them. */
    static final int CAPACITY = 65_536;

    /** What {@link #poll} returns when nothing is asked for. */
    static final long NONE = -1;

    private static final int PAGE_BITS = 40;
    /** A power of two, so sparse that a look ends after a slot or two. */
    private static final int SLOTS = 2 * CAPACITY;

    private final List<SourceBlock> blocks;
    private final Map<String, SourceBlock> byName;
    private final int pageSizeBytes;

    // All guarded by this.
    private final long[] ring = new long[CAPACITY];
    private int head;
    private int size;
    /** Open addressing: the pages in the ring. */
    private final long[] queued = new long[SLOTS];

    PageQueue(List<SourceBlock> blocks, int pageSizeBytes) {
        this.blocks = blocks;
        this.byName = blocks.stream().collect(Collectors.toUnmodifiableMap(b -> b.ram.name(), Function.identity()));
        this.pageSizeBytes = pageSizeBytes;
        Arrays.fill(queued, NONE);
    }

    /**
     * Adds every host page that the range touches. The range lies within the block, which exists.
     *
     * @return how many pages were dropped because the queue is full
     */
    synchronized long offer(String name, long start, int lengthBytes) {
        SourceBlock block = byName.get(name);
        if (block == null) {
            throw new IllegalArgumentException("no block " + name);
        }
        long hostPageBytes = (long) block.hostPagePages * pageSizeBytes;
        long last = (start + lengthBytes - 1) / hostPageBytes;
        for (long page = start / hostPageBytes; page <= last; page++) {
            long entry = (long) block.index << PAGE_BITS | page;
            if (size == CAPACITY) {
                return last - page + 1;
            }
            if (add(entry)) {
                ring[(head + size) & (CAPACITY - 1)] = entry;
                size++;
            }
        }
        return 0;
    }

    /** Whether nothing is asked for. */
    synchronized boolean isEmpty() {
        return size == 0;
    }

    /** The entry that waits longest, or {@link #NONE}. */
    synchronized long poll() {
        if (size == 0) {
            return NONE;
        }
        long entry = ring[head];
        head = (head + 1) & (CAPACITY - 1);
        size--;
        remove(entry);
        return entry;
    }

    /** Nobody waits any more: the connection is gone, and who waits asks again over the next one. */
    synchronized void clear() {
        size = 0;
        Arrays.fill(queued, NONE);
    }

    /** The block of an entry. */
    SourceBlock block(long entry) {
        return blocks.get((int) (entry >>> PAGE_BITS));
    }

    /** The first guest page of an entry. */
    long page(long entry) {
        return (entry & (1L << PAGE_BITS) - 1) * block(entry).hostPagePages;
    }

    private boolean add(long entry) {
        int slot = slot(entry);
        while (queued[slot] != NONE) {
            if (queued[slot] == entry) {
                return false;
            }
            slot = (slot + 1) & (SLOTS - 1);
        }
        queued[slot] = entry;
        return true;
    }

    /** Closes the gap with entries that had to step over the removed one. */
    private void remove(long entry) {
        int gap = slot(entry);
        while (queued[gap] != entry) {
            gap = (gap + 1) & (SLOTS - 1);
        }
        int at = gap;
        while (true) {
            at = (at + 1) & (SLOTS - 1);
            if (queued[at] == NONE) {
                queued[gap] = NONE;
                return;
            }
            int steps = (at - slot(queued[at])) & (SLOTS - 1);
            if (steps >= ((at - gap) & (SLOTS - 1))) {
                queued[gap] = queued[at];
                gap = at;
            }
        }
    }

    private static int slot(long entry) {
        long mixed = entry * 0x9e3779b97f4a7c15L;
        return (int) (mixed >>> 47) & (SLOTS - 1);
    }
}
