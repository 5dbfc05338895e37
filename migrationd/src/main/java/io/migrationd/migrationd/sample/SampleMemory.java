package io.migrationd.migrationd.sample;

import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.SharedMapping;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Userfaultfd;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * The guest's RAM: data blocks of equal size and one index block that holds, for each data page, the sequence number of
 * its last write. It is read and written through mappings, by {@link PageAccess} only: the daemon makes pages fault
 * that have not arrived yet, and pread would show them as zeroes.
 */
final class SampleMemory implements AutoCloseable {
    static final int CHUNK_PAGES = 512;
    static final long CHUNK_BYTES = (long) CHUNK_PAGES * PageImage.PAGE_BYTES;
    /** Thread ids let the daemon tell how long each of our threads has waited. */
    private static final long FEATURES = Userfaultfd.FEATURE_PAGEFAULT_FLAG_WP
            | Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM
            | Userfaultfd.FEATURE_WP_UNPOPULATED
            | Userfaultfd.FEATURE_WP_ASYNC
            | Userfaultfd.FEATURE_THREAD_ID;
    /** Where guests of this kind see their first block; a number for the hello. */
    private static final long GUEST_PHYSICAL = 1L << 32;

    private final List<FdRamBlock> blocks = new ArrayList<>();
    private final List<SharedMapping> mappings = new ArrayList<>();
    private final long pagesPerBlock;
    private final long pageCount;
    private final Userfaultfd userfaultfd;

    /** {@code ramBytes} is a multiple of {@code blockCount} chunks, each as long as a huge page. */
    SampleMemory(long ramBytes, int blockCount, boolean hugePages) throws ErrnoException {
        this.pageCount = ramBytes / PageImage.PAGE_BYTES;
        this.pagesPerBlock = pageCount / blockCount;
        try {
            for (int i = 0; i < blockCount; i++) {
                String name = "sample.ram" + i;
                long lengthBytes = ramBytes / blockCount;
                add(
                        hugePages
                                ? FdRamBlock.createHugeMemory(name, lengthBytes)
                                : FdRamBlock.createMemory(name, lengthBytes));
            }
            add(FdRamBlock.createMemory("sample.index", pageCount * Long.BYTES));
            this.userfaultfd = openUserfaultfd();
        } catch (ErrnoException | RuntimeException e) {
            release();
            throw e;
        }
    }

    private void add(FdRamBlock block) throws ErrnoException {
        blocks.add(block);
        mappings.add(SharedMapping.of(block));
    }

    /** User mode is enough: only memcpy touches our memory. Missing pages are the daemon's to register. */
    private Userfaultfd openUserfaultfd() throws ErrnoException {
        Userfaultfd opened = Userfaultfd.openUserModeOnly();
        try {
            opened.api(FEATURES);
            for (SharedMapping mapping : mappings) {
                MemorySegment segment = mapping.segment();
                opened.register(segment.address(), segment.byteSize(), Userfaultfd.REGISTER_WP);
            }
            return opened;
        } catch (ErrnoException | RuntimeException e) {
            opened.close();
            throw e;
        }
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
        descriptors.add(userfaultfd.fd());
        blocks.forEach(block -> descriptors.add(block.fd()));
        return descriptors;
    }

    @Override
    public void close() {
        userfaultfd.close();
        release();
    }

    private void release() {
        mappings.forEach(SharedMapping::close);
        blocks.forEach(FdRamBlock::close);
    }
}
