package io.migrationd.migrationd.outgoing;

import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.protocol.ram.RamRecordWriter.BlockName;

/** One RAM block on its way. Pages are guest pages unless the name says host page. */
final class SourceBlock {
    final RamBlock ram;
    final BlockName name;
    /** Its place in the list of blocks. */
    final int index;
    /** Number of its first page among all pages of the guest. */
    final long firstPage;
    /** Guest pages that postcopy places together; 1 but for huge pages. */
    final int hostPagePages;
    /** Guarded by {@link DirtyPages}. */
    final PageBitmap dirty;

    SourceBlock(RamBlock ram, int index, int pageSizeBytes, long firstPage) {
        this.ram = ram;
        this.name = new BlockName(ram.name());
        this.index = index;
        this.firstPage = firstPage;
        this.hostPagePages = Math.max(1, ram.pageSizeBytes() / pageSizeBytes);
        this.dirty = new PageBitmap(ram.lengthBytes() / pageSizeBytes);
    }

    /** The first page of the host page that {@code page} is in. */
    long hostPageStart(long page) {
        return page - page % hostPagePages;
    }

    long pageCount() {
        return dirty.pageCount();
    }
}
