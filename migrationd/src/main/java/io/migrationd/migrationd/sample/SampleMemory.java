package io.migrationd.migrationd.sample;

import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.SharedMapping;
import io.migrationd.postcopy.memory.WriteTracking;
import io.migrationd.postcopy.os.ErrnoException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The guest's RAM: data blocks of equal size and one index block that holds, for each data page, the sequence number of
 * its last write. Written through mappings, so that writes are tracked; read for verification by pread, so that holes
 * stay holes. No page can be missing: the userfaultfd only tracks writes.
 */
final class SampleMemory implements AutoCloseable {
    static final int CHUNK_PAGES = 512;
    static final long CHUNK_BYTES = (long) CHUNK_PAGES * PageImage.PAGE_BYTES;
    /** Where guests of this kind see their first block; a number for the hello. */
    private static final long GUEST_PHYSICAL = 1L << 32;

    private final List<FdRamBlock> blocks = new ArrayList<>();
    private final List<SharedMapping> mappings = new ArrayList<>();
    private final long pagesPerBlock;
    private final long pageCount;
    private final WriteTracking tracking;

    /** {@code ramBytes} is a multiple of {@code blockCount} chunks. */
    SampleMemory(long ramBytes, int blockCount) throws ErrnoException {
        this.pageCount = ramBytes / PageImage.PAGE_BYTES;
        this.pagesPerBlock = pageCount / blockCount;
        try {
            for (int i = 0; i < blockCount; i++) {
                add("sample.ram" + i, ramBytes / blockCount);
            }
            add("sample.index", pageCount * Long.BYTES);
            this.tracking = WriteTracking.of(mappings);
        } catch (ErrnoException | RuntimeException e) {
            release();
            throw e;
        }
    }

    private void add(String name, long lengthBytes) throws ErrnoException {
        FdRamBlock block = FdRamBlock.createMemory(name, lengthBytes);
        blocks.add(block);
        mappings.add(SharedMapping.of(block));
    }

    long pageCount() {
        return pageCount;
    }

    /** The mapping that the page is in; see {@link #offset}. */
    MemorySegment mapping(long page) {
        return mappings.get((int) (page / pagesPerBlock)).segment();
    }

    /** Where the page begins in its block. */
    long offset(long page) {
        return page % pagesPerBlock * PageImage.PAGE_BYTES;
    }

    /** The last writes of all pages, one long each. */
    MemorySegment index() {
        return mappings.getLast().segment();
    }

    /** Copies pages of one chunk. */
    void read(long page, int count, MemorySegment buffer) throws ErrnoException {
        FdRamBlock block = blocks.get((int) (page / pagesPerBlock));
        block.readPages(offset(page), count, PageImage.PAGE_BYTES, buffer, 0, PageImage.PAGE_BYTES);
    }

    /** Copies the page of the index that holds the entries of the chunk that begins with {@code page}. */
    void readIndex(long page, MemorySegment buffer) throws ErrnoException {
        blocks.getLast().readPages(page * Long.BYTES, 1, PageImage.PAGE_BYTES, buffer, 0, PageImage.PAGE_BYTES);
    }

    /** What a hello says of it. */
    List<Region> regions() {
        List<Region> regions = new ArrayList<>();
        long guestPhysical = GUEST_PHYSICAL;
        for (int i = 0; i < blocks.size(); i++) {
            FdRamBlock block = blocks.get(i);
            long hostVirtual = mappings.get(i).segment().address();
            regions.add(new Region(
                    block.name(), guestPhysical, hostVirtual, block.lengthBytes(), block.pageSizeBytes(), i + 1, 0));
            guestPhysical += block.lengthBytes();
        }
        return regions;
    }

    /** What goes with a hello: the userfaultfd and the memfds. They stay ours, so that memory outlives every daemon. */
    List<Integer> descriptors() {
        List<Integer> descriptors = new ArrayList<>();
        descriptors.add(tracking.fd());
        blocks.forEach(block -> descriptors.add(block.fd()));
        return descriptors;
    }

    @Override
    public void close() {
        tracking.close();
        release();
    }

    private void release() {
        mappings.forEach(SharedMapping::close);
        blocks.forEach(FdRamBlock::close);
    }
}
