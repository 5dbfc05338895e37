package io.migrationd.migrationd.outgoing;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/**
 * What was last sent of some pages: a direct-mapped cache of fixed size outside the heap. One thread.
 *
 * <p>A page that is found is exactly what the destination has; that is what makes a delta valid.
 */
final class XbzrleCache implements AutoCloseable {
    private static final long EMPTY = -1;

    private final Arena arena = Arena.ofShared();
    private final int pageSizeBytes;
    private final MemorySegment pages;
    private final long[] tags;

    XbzrleCache(long sizeBytes, int pageSizeBytes) {
        this.pageSizeBytes = pageSizeBytes;
        this.tags = new long[Math.toIntExact(Math.max(1, sizeBytes / pageSizeBytes))];
        this.pages = arena.allocate((long) tags.length * pageSizeBytes, Long.BYTES);
        Arrays.fill(tags, EMPTY);
    }

    /** Whether the page's last content is here, at {@link #offset}. */
    boolean contains(long page) {
        return tags[slot(page)] == page;
    }

    /** Where the page's content is, or would be. */
    long offset(long page) {
        return (long) slot(page) * pageSizeBytes;
    }

    /** All contents. */
    MemorySegment pages() {
        return pages;
    }

    /** Keeps what was just sent of a page; whoever was in its place is forgotten. */
    void put(long page, MemorySegment source, long sourceOffset) {
        tags[slot(page)] = page;
        MemorySegment.copy(source, sourceOffset, pages, offset(page), pageSizeBytes);
    }

    /** The page was sent as zeroes. */
    void zero(long page) {
        if (contains(page)) {
            pages.asSlice(offset(page), pageSizeBytes).fill((byte) 0);
        }
    }

    private int slot(long page) {
        return (int) (page % tags.length);
    }

    @Override
    public void close() {
        arena.close();
    }
}
