package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.ErrnoException;
import java.lang.foreign.MemorySegment;

/**
 * One named, contiguous piece of guest memory behind a descriptor (a memfd or a file). Pages move by pread and pwrite,
 * never through a mapping: reading a hole does not make it present, a full disk is an error and not a signal, and no
 * Java thread can ever fault on guest memory (docs/adr/0003). Offsets are bytes within the block.
 *
 * <p>Safe for one writer and any number of readers of different pages.
 */
public interface RamBlock {
    /** The name on the wire, 1 to 255 bytes, unique within the guest. */
    String name();

    /** Length, a multiple of the host page size. */
    long lengthBytes();

    /** The page size that backs the block: 4096, or that of its huge pages. */
    int pageSizeBytes();

    /**
     * Copies {@code pageCount} pages from {@code offset} on to {@code buffer}; page i lands at {@code bufferOffset + i
     * * strideBytes}, so that there is room for headers between. Holes read as zeroes and stay holes. One system call
     * per 1024 pages; allocates nothing.
     */
    void readPages(long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException;

    /** The reverse of {@link #readPages}. ENOSPC when the disk behind the block is full. */
    void writePages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException;

    /** Makes the range a hole: it reads as zeroes and takes no memory. */
    void punchHole(long offset, long lengthBytes) throws ErrnoException;

    /** The first offset at or behind {@code offset} that is not in a hole; {@link #lengthBytes()} if there is none. */
    long nextData(long offset) throws ErrnoException;

    /** The first offset at or behind {@code offset} that is in a hole; {@link #lengthBytes()} if there is none. */
    long nextHole(long offset) throws ErrnoException;

    /**
     * Whether {@link #nextData} tells for each single page if it has been written. Where it does not, a page may count
     * as data because of its neighbour.
     */
    default boolean knowsItsPages() throws ErrnoException {
        return false;
    }
}
