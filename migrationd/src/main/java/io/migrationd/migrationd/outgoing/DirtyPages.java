package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.returnpath.ReceivedPages;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What of the guest's RAM has still to be sent, and where the scan for it stands. A thread claims a run of pages under
 * this object's lock, which is held for a few words of a bitmap, and reads and sends them outside of it: a claimed page
 * is the claimer's alone.
 */
final class DirtyPages {
    /** How far behind a page that was asked for the next ones count as near: the guest will soon want them. */
    private static final int NEAR_BYTES = 64 * 1024;

    private static final int NO_BLOCK = -1;

    private final List<SourceBlock> blocks;
    private final int pageSizeBytes;

    // All guarded by this.
    private int scanBlock;
    private long scanPage;
    private boolean firstPassDone;
    private int nearBlock = NO_BLOCK;
    private long nearEnd;

    DirtyPages(Guest guest) {
        pageSizeBytes = guest.targetPageSizeBytes();
        List<SourceBlock> all = new ArrayList<>();
        long firstPage = 0;
        for (RamBlock ram : guest.ram()) {
            SourceBlock block = new SourceBlock(ram, all.size(), pageSizeBytes, firstPage);
            all.add(block);
            firstPage += block.pageCount();
        }
        blocks = List.copyOf(all);
    }

    /** All blocks, in the order of their announcement. */
    List<SourceBlock> blocks() {
        return blocks;
    }

    Optional<SourceBlock> block(String name) {
        return blocks.stream().filter(b -> b.ram.name().equals(name)).findFirst();
    }

    /** How many pages are left. */
    synchronized long pageCount() {
        long pages = 0;
        for (SourceBlock block : blocks) {
            pages += block.dirty.cardinality();
        }
        return pages;
    }

    /** Whether the scan has passed every page once. */
    synchronized boolean isFirstPassDone() {
        return firstPassDone;
    }

    /** Adds what the guest has written; returns how many pages that were clean. */
    synchronized long collect(DirtyLog log) throws ErrnoException {
        long dirtied = 0;
        for (SourceBlock block : blocks) {
            dirtied += log.collect(block.ram, block.dirty);
        }
        return dirtied;
    }

    /** Everything has to be sent. */
    synchronized void setAll() {
        for (SourceBlock block : blocks) {
            block.dirty.set(0, block.pageCount());
        }
    }

    /** A host page with a dirty page in it becomes dirty as a whole: postcopy places nothing smaller. */
    synchronized void coarsen() {
        for (SourceBlock block : blocks) {
            if (block.hostPagePages == 1) {
                continue;
            }
            long page = block.dirty.nextSet(0);
            while (page < block.pageCount()) {
                long start = block.hostPageStart(page);
                long end = start + block.hostPagePages;
                block.dirty.set(start, end);
                page = block.dirty.nextSet(end);
            }
        }
    }

    /** From now on the block's pages are left that the destination has not. */
    synchronized void reload(SourceBlock block, ReceivedPages received) {
        PageBitmap dirty = block.dirty;
        dirty.set(0, block.pageCount());
        for (int i = 0; i < received.wordCount(); i++) {
            clearReceived(dirty, (long) i << 6, received.word(i));
        }
    }

    private static void clearReceived(PageBitmap dirty, long firstPage, long word) {
        long left = word;
        while (left != 0) {
            int from = Long.numberOfTrailingZeros(left);
            int to = from + Long.numberOfTrailingZeros(~(left >>> from));
            // What a peer says of pages behind the last one is padding.
            long end = Math.min(dirty.pageCount(), firstPage + Math.min(to, Long.SIZE));
            if (firstPage + from < end) {
                dirty.clear(firstPage + from, end);
            }
            left = to >= Long.SIZE ? 0 : left & (-1L << to);
        }
    }

    /** The first run of dirty pages of {@code block} at or behind {@code page}, unclaimed; false if there is none. */
    synchronized boolean find(SourceBlock block, long page, PageRun run) {
        long from = block.dirty.nextSet(page);
        if (from >= block.pageCount()) {
            return false;
        }
        run.set(block, from, block.dirty.nextClear(from), false);
        return true;
    }

    /** Claims the next dirty pages that lie together, at most {@code most}; false if there is none in any block. */
    synchronized boolean claimNext(int most, PageRun run) {
        return findNext() && claim(most, run);
    }

    /** The same in whole host pages, at least one. The pages are {@linkplain #coarsen coarse}. */
    synchronized boolean claimNextHostPages(int most, PageRun run) {
        if (!findNext()) {
            return false;
        }
        int hostPage = blocks.get(scanBlock).hostPagePages;
        return claim(Math.max(hostPage, most - most % hostPage), run);
    }

    /** Moves the scan to the next dirty page of any block. */
    private boolean findNext() {
        for (int tried = 0; tried <= blocks.size() && !blocks.isEmpty(); tried++) {
            SourceBlock block = blocks.get(scanBlock);
            scanPage = block.dirty.nextSet(scanPage);
            if (scanPage < block.pageCount()) {
                return true;
            }
            scanPage = 0;
            scanBlock++;
            if (scanBlock == blocks.size()) {
                scanBlock = 0;
                firstPassDone = true;
            }
        }
        return false;
    }

    /** Claims from the scan's dirty page on; a run is near as a whole or not at all. */
    private boolean claim(int most, PageRun run) {
        SourceBlock block = blocks.get(scanBlock);
        long from = scanPage;
        boolean near = scanBlock == nearBlock && from < nearEnd;
        long end = Math.min(block.dirty.nextClear(from), from + most);
        if (near) {
            end = Math.min(end, nearEnd);
        } else {
            nearBlock = NO_BLOCK;
        }
        block.dirty.clear(from, end);
        scanPage = end;
        run.set(block, from, end, near);
        return true;
    }

    /**
     * Claims a host page that was asked for and moves the scan behind it; false if it was claimed before.
     *
     * @param page the first of its pages
     */
    synchronized boolean claimRequested(SourceBlock block, long page, PageRun run) {
        if (!block.dirty.get(page)) {
            return false;
        }
        long end = page + block.hostPagePages;
        block.dirty.clear(page, end);
        run.set(block, page, end, false);
        scanBlock = block.index;
        scanPage = end;
        nearBlock = block.index;
        long hostPages = NEAR_BYTES / ((long) block.hostPagePages * pageSizeBytes);
        nearEnd = Math.min(block.pageCount(), end + Math.max(0, hostPages - 1) * block.hostPagePages);
        return true;
    }
}
