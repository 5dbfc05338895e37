package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Libc;
import io.migrationd.postcopy.os.PagemapScan;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Finds what another process has written to guest memory, by PAGEMAP_SCAN of mappings that the process has registered
 * in a userfaultfd with asynchronous write protection ({@link WriteTracking}). Only writes through those mappings
 * count, not those through another mapping of the same memfd. The process is not stopped.
 */
public final class UffdDirtyLog implements DirtyLog {
    private static final int REGIONS = 4096;
    /**
     * Bounds how long one call keeps the guest process from changing its mappings; a multiple of every page size we
     * serve.
     */
    private static final long STEP_BYTES = 1L << 30;

    private static final long GET_AND_CLEAR = PagemapScan.WP_MATCHING | PagemapScan.CHECK_WPASYNC;

    private final long pid;
    private final Descriptor pagemap;
    private final Map<String, GuestRange> ranges = new HashMap<>();
    private final Set<String> started = new HashSet<>();
    private final int pageBytes;
    private final PagemapScan scan = new PagemapScan(REGIONS);

    private UffdDirtyLog(long pid, Descriptor pagemap, List<GuestRange> ranges, int pageBytes) {
        this.pid = pid;
        this.pagemap = pagemap;
        this.pageBytes = pageBytes;
        ranges.forEach(range -> this.ranges.put(range.blockName(), range));
    }

    /**
     * Opens /proc/PID/pagemap, for which we must run as the user of that process or have CAP_SYS_PTRACE.
     *
     * @param pageBytes what a bit of the collected bitmaps stands for
     */
    public static UffdDirtyLog open(long pid, List<GuestRange> ranges, int pageBytes) throws ErrnoException {
        int flags = Libc.O_RDONLY | Libc.O_CLOEXEC;
        Descriptor pagemap = new Descriptor(Libc.open(Path.of("/proc/" + pid + "/pagemap"), flags));
        return new UffdDirtyLog(pid, pagemap, ranges, pageBytes);
    }

    @Override
    public long collect(RamBlock block, PageBitmap dirty) throws ErrnoException {
        GuestRange range = rangeOf(block, dirty);
        long before = dirty.cardinality();
        collect(range, dirty);
        if (started.add(block.name())) {
            // What this pass did not report somebody else has protected, and may have collected: all is dirty.
            dirty.set(0, dirty.pageCount());
        }
        return dirty.cardinality() - before;
    }

    private void collect(GuestRange range, PageBitmap dirty) throws ErrnoException {
        long at = range.hostVirtual();
        while (at < range.endHostVirtual()) {
            long end = Math.min(range.endHostVirtual(), at + STEP_BYTES);
            int count = scan(range, at, end);
            for (int i = 0; i < count; i++) {
                long from = (scan.regionStart(i) - range.hostVirtual()) / pageBytes;
                long to = Math.ceilDiv(scan.regionEnd(i) - range.hostVirtual(), pageBytes);
                dirty.set(from, Math.min(to, dirty.pageCount()));
            }
            at = nextStart(range, at);
        }
    }

    /** The kernel stands still at a huge page that the range covers in part: it cannot be protected in part. */
    private long nextStart(GuestRange range, long at) throws ErrnoException {
        long next = scan.walkEnd();
        if (next > at) {
            return next;
        }
        String where =
                "block=%s pid=%d: a huge page at %#x is not wholly in %s".formatted(range.blockName(), pid, at, range);
        throw new ErrnoException("PAGEMAP_SCAN", Errno.EINVAL, where);
    }

    private int scan(GuestRange range, long from, long to) throws ErrnoException {
        try {
            return scan.scan(pagemap.number(), from, to, GET_AND_CLEAR, PagemapScan.PAGE_WRITTEN);
        } catch (ErrnoException e) {
            String what = "block=" + range.blockName() + " pid=" + pid;
            String why = switch (e.errno()) {
                case Errno.ESRCH -> "the process has ended";
                case Errno.EPERM -> "the range is not registered for asynchronous write protection";
                case Errno.ENOTTY -> "the kernel is older than 6.7";
                default -> "range %#x to %#x".formatted(from, to);
            };
            ErrnoException explained = new ErrnoException("PAGEMAP_SCAN", e.errno(), what + ": " + why);
            explained.initCause(e);
            throw explained;
        }
    }

    private GuestRange rangeOf(RamBlock block, PageBitmap dirty) {
        GuestRange range = ranges.get(block.name());
        if (range == null || range.lengthBytes() != block.lengthBytes()) {
            throw new IllegalArgumentException("block %s of %d bytes is not what was registered: %s"
                    .formatted(block.name(), block.lengthBytes(), range));
        }
        if (dirty.pageCount() != Math.ceilDiv(block.lengthBytes(), pageBytes)) {
            throw new IllegalArgumentException("a bitmap of %d pages of %d bytes for block %s of %d bytes"
                    .formatted(dirty.pageCount(), pageBytes, block.name(), block.lengthBytes()));
        }
        return range;
    }

    @Override
    public void close() {
        pagemap.close();
    }
}
