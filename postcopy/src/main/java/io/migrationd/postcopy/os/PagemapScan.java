package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * ioctl PAGEMAP_SCAN of /proc/PID/pagemap (Linux 6.7, Documentation/admin-guide/mm/pagemap.rst), with room for its
 * regions allocated once. One thread at a time.
 */
public final class PagemapScan {
    public static final long WP_MATCHING = 1;
    public static final long CHECK_WPASYNC = 2;

    public static final long PAGE_WRITTEN = 2;
    public static final long PAGE_PRESENT = 8;

    static final long ARGUMENT_BYTES = 96;
    static final long REGION_BYTES = 24;

    private static final long FLAGS = 8;
    private static final long START = 16;
    private static final long END = 24;
    private static final long WALK_END = 32;
    private static final long VECTOR = 40;
    private static final long VECTOR_LENGTH = 48;
    private static final long CATEGORY_MASK = 72;
    private static final long RETURN_MASK = 88;

    private final MemorySegment argument;
    private final MemorySegment regions;
    private int count;

    /** Room for {@code capacity} regions per scan. */
    public PagemapScan(int capacity) {
        Arena arena = Arena.ofAuto(); // A buffer of its owner, freed with it.
        this.regions = arena.allocate(capacity * REGION_BYTES, Long.BYTES);
        this.argument = arena.allocate(ARGUMENT_BYTES, Long.BYTES); // Fields that are not set below stay zero.
        argument.set(JAVA_LONG, 0, ARGUMENT_BYTES);
        argument.set(JAVA_LONG, VECTOR, regions.address());
        argument.set(JAVA_LONG, VECTOR_LENGTH, capacity);
    }

    /**
     * Finds the ranges of pages that have all of {@code categories}, from {@code startHostVirtual} on, until the end or
     * until there is no more room; {@link #walkEnd} says how far it came.
     *
     * @param flags {@link #WP_MATCHING} write-protects what was found, atomically per page; {@link #CHECK_WPASYNC}
     *     makes it EPERM when the range is not registered for asynchronous write protection
     * @return how many regions were found
     */
    public int scan(int pagemap, long startHostVirtual, long endHostVirtual, long flags, long categories)
            throws ErrnoException {
        argument.set(JAVA_LONG, FLAGS, flags);
        argument.set(JAVA_LONG, START, startHostVirtual);
        argument.set(JAVA_LONG, END, endHostVirtual);
        argument.set(JAVA_LONG, WALK_END, 0);
        argument.set(JAVA_LONG, CATEGORY_MASK, categories);
        argument.set(JAVA_LONG, RETURN_MASK, categories);
        count = 0;
        long result = Ioctl.call(pagemap, Ioctl.PAGEMAP_SCAN, argument.address());
        if (result < 0) {
            String range = "start=%#x end=%#x flags=%d".formatted(startHostVirtual, endHostVirtual, flags);
            throw Libc.failure("PAGEMAP_SCAN", result, range);
        }
        count = (int) result;
        return count;
    }

    /** Where the last scan stopped: its end, or the address to go on from. */
    public long walkEnd() {
        return argument.get(JAVA_LONG, WALK_END);
    }

    /** Address of the first byte of a region. */
    public long regionStart(int index) {
        return regions.get(JAVA_LONG, Objects.checkIndex(index, count) * REGION_BYTES);
    }

    /** Address behind the last byte of a region. */
    public long regionEnd(int index) {
        return regions.get(JAVA_LONG, Objects.checkIndex(index, count) * REGION_BYTES + Long.BYTES);
    }
}
