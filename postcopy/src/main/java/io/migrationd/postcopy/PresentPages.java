package io.migrationd.postcopy;

import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;

/**
 * What a daemon that has died left in a block: placement is whole pages, so that a page that is present was received.
 *
 * <p>Pages that were received as holes, and those that the guest has given up since, count as missing: the source sends
 * them again. So does every page of a block whose file system cannot tell (hugetlbfs knows no SEEK_HOLE). That costs
 * time and nothing else: a page that the guest has, written or not, is never placed over ({@code EEXIST}).
 */
public final class PresentPages {
    private PresentPages() {}

    /** Marks as received what is present. Before anybody else uses the block. */
    public static void mark(IncomingBlock block) throws ErrnoException {
        RamBlock ram = block.ram();
        if (!ram.knowsItsPages()) {
            return;
        }
        int pageBytes = block.targetPageBytes();
        long at = ram.nextData(0);
        while (at < ram.lengthBytes()) {
            long end = ram.nextHole(at);
            // Only whole guest pages count; one that is cut by a hole is asked for again.
            long from = Math.ceilDiv(at, pageBytes);
            long to = end / pageBytes;
            if (from < to) {
                block.received().set(from, to);
            }
            at = ram.nextData(end);
        }
    }
}
