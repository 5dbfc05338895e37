package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.SendBuffer;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.state.SavingHandler;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.ram.RamRecordWriter.BlockName;
import io.migrationd.protocol.ram.XbzrleDelta;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Sends guest RAM: pass after pass over the dirty pages of all blocks, in runs that are read straight into the
 * channel's buffer behind room for their headers. A run is one system call; a page costs no allocation, no lock and no
 * log line.
 */
final class RamSender implements SavingHandler {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    /** Zero records per look at the budget when a block has large holes. */
    private static final int MAX_ZERO_RUN = 4096;

    private final Guest guest;
    private final int pageSizeBytes;
    private final int maxRun;
    private final RamCounters counters;
    private final @Nullable XbzrleCache xbzrle;
    private final Runnable onPass;
    private final LongSupplier nowNanos;
    private final List<Block> blocks = new ArrayList<>();
    private final RamRecordWriter records = new RamRecordWriter();
    private final Arena arena = Arena.ofShared();
    private final MemorySegment zeroes;
    private final MemorySegment delta;

    private @Nullable DirtyLog dirtyLog;
    private int scanBlock;
    private long scanPage;
    private boolean firstPassDone;
    private long lastSyncNanos;

    /** One RAM block on its way. */
    private static final class Block {
        final RamBlock ram;
        final PageBitmap dirty;
        final BlockName name;
        /** Number of its first page among all pages of the guest. */
        final long firstPage;
        /** Up to here, as bytes in the block, {@code inHole} holds; found since the last look at the dirty log. */
        long extentEnd;

        boolean inHole;

        Block(RamBlock ram, int pageSizeBytes, long firstPage) {
            this.ram = ram;
            this.dirty = new PageBitmap(ram.lengthBytes() / pageSizeBytes);
            this.name = new BlockName(ram.name());
            this.firstPage = firstPage;
        }
    }

    /**
     * A sender for the RAM of {@code guest}.
     *
     * @param xbzrleCacheSize bytes of delta cache, 0 without the capability
     * @param onPass called after each look at the dirty log
     */
    RamSender(Guest guest, long xbzrleCacheSize, RamCounters counters, Runnable onPass, LongSupplier nowNanos) {
        this.guest = guest;
        this.pageSizeBytes = guest.targetPageSizeBytes();
        this.maxRun = (SendBuffer.CAPACITY - RamRecordWriter.MAX_HEADER_BYTES) / (pageSizeBytes + Long.BYTES);
        this.counters = counters;
        this.xbzrle = xbzrleCacheSize > 0 ? new XbzrleCache(xbzrleCacheSize, pageSizeBytes) : null;
        this.onPass = onPass;
        this.nowNanos = nowNanos;
        this.zeroes = arena.allocate(pageSizeBytes, Long.BYTES);
        this.delta = arena.allocate(pageSizeBytes, Long.BYTES);
    }

    @Override
    public void setup(StreamOutput out) throws IOException {
        long firstPage = 0;
        for (RamBlock ram : guest.ram()) {
            Block block = new Block(ram, pageSizeBytes, firstPage);
            blocks.add(block);
            firstPage += block.dirty.pageCount();
        }
        dirtyLog = guest.openDirtyLog();
        lastSyncNanos = nowNanos.getAsLong();
        synchronizeDirtyLog();
        WireWriter body = new WireWriter();
        RamRecordWriter.blockList(
                blocks.stream()
                        .map(b -> new BlockListEntry(0, b.ram.name(), b.ram.lengthBytes(), 0))
                        .toList(),
                body);
        out.write(body);
    }

    @Override
    public boolean iterate(StreamOutput out, IterationBudget budget) throws IOException {
        long start = out.position();
        boolean nothingLeft = false;
        while (budget.allows(out.position() - start)) {
            if (!sendNextRun(out)) {
                nothingLeft = true;
                break;
            }
        }
        publishRemaining();
        endBody(out);
        return nothingLeft;
    }

    @Override
    public void completePrecopy(StreamOutput out) throws IOException {
        synchronizeDirtyLog();
        while (sendNextRun(out)) {
            // Until every page that the guest has written is on its way.
        }
        publishRemaining();
        endBody(out);
    }

    @Override
    public long pendingEstimate() {
        long pages = 0;
        for (Block block : blocks) {
            pages += block.dirty.cardinality();
        }
        return pages * pageSizeBytes;
    }

    @Override
    public long pendingExact() throws IOException {
        synchronizeDirtyLog();
        return pendingEstimate();
    }

    @Override
    public void cleanup() {
        if (dirtyLog != null) {
            dirtyLog.close();
        }
        if (xbzrle != null) {
            xbzrle.close();
        }
        arena.close();
    }

    private void synchronizeDirtyLog() throws ErrnoException {
        DirtyLog log = dirtyLog;
        if (log == null) {
            throw new IllegalStateException("dirty pages asked for before setup");
        }
        long dirtied = 0;
        for (Block block : blocks) {
            dirtied += log.collect(block.ram, block.dirty);
            // A hole seen before this look may have been written since: look again.
            block.extentEnd = 0;
        }
        long now = nowNanos.getAsLong();
        if (counters.dirtySyncs.get() > 0 && now > lastSyncNanos) {
            counters.dirtyPagesRate.set((long) (dirtied * 1e9 / (now - lastSyncNanos)));
        }
        lastSyncNanos = now;
        counters.dirtySyncs.incrementAndGet();
        publishRemaining();
        onPass.run();
    }

    private void publishRemaining() {
        counters.remainingBytes.lazySet(pendingEstimate());
    }

    private void endBody(StreamOutput out) throws IOException {
        SendBuffer buffer = out.room(Long.BYTES);
        out.advance(buffer, RamRecordWriter.endOfSection(buffer.segment(), buffer.limit()));
    }

    /** Sends the next dirty pages that lie together; false if there is none in any block. */
    private boolean sendNextRun(StreamOutput out) throws IOException {
        for (int tried = 0; tried <= blocks.size(); tried++) {
            Block block = blocks.get(scanBlock);
            long page = block.dirty.nextSet(scanPage);
            if (page < block.dirty.pageCount()) {
                scanPage = sendRun(out, block, page);
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

    /** Sends dirty pages from {@code page} on; returns the page behind them. */
    private long sendRun(StreamOutput out, Block block, long page) throws IOException {
        long offset = page * pageSizeBytes;
        findExtent(block, offset);
        int most = block.inHole ? MAX_ZERO_RUN : maxRun;
        long end = Math.min(block.dirty.nextClear(page), page + most);
        end = Math.min(end, Math.max(page + 1, Math.ceilDiv(block.extentEnd, pageSizeBytes)));
        block.dirty.clear(page, end);
        if (block.inHole) {
            sendHole(out, block, page, end);
        } else {
            sendData(out, block, page, (int) (end - page));
        }
        return end;
    }

    /** Finds out whether the page at {@code offset} lies in a hole and how far that holds. Holes are never read. */
    private void findExtent(Block block, long offset) throws ErrnoException {
        if (offset < block.extentEnd) {
            return;
        }
        long data = block.ram.nextData(offset);
        // File systems with small blocks have holes that end within a page: such a page is data.
        block.inHole = data >= offset + pageSizeBytes;
        block.extentEnd = block.inHole ? data - data % pageSizeBytes : block.ram.nextHole(data);
    }

    private void sendHole(StreamOutput out, Block block, long from, long to) throws IOException {
        for (long page = from; page < to; page++) {
            SendBuffer buffer = out.room(RamRecordWriter.MAX_HEADER_BYTES + 1);
            out.advance(buffer, records.zeroPage(buffer.segment(), buffer.limit(), block.name, page * pageSizeBytes));
            if (xbzrle != null) {
                xbzrle.zero(block.firstPage + page);
            }
        }
        counters.zeroPages.lazySet(counters.zeroPages.get() + to - from);
    }

    private void sendData(StreamOutput out, Block block, long page, int count) throws IOException {
        int stride = pageSizeBytes + Long.BYTES;
        SendBuffer buffer = out.room(RamRecordWriter.MAX_HEADER_BYTES + count * stride);
        MemorySegment bytes = buffer.segment();
        long position = buffer.limit();
        long slot = position + records.headerBytes(block.name);
        block.ram.readPages(page * pageSizeBytes, count, pageSizeBytes, bytes, slot, stride);
        int zero = 0;
        int normal = 0;
        for (int i = 0; i < count; i++, slot += stride) {
            long address = (page + i) * pageSizeBytes;
            if (isZero(bytes, slot)) {
                position = records.zeroPage(bytes, position, block.name, address);
                zero++;
                if (xbzrle != null) {
                    xbzrle.zero(block.firstPage + page + i);
                }
                continue;
            }
            if (xbzrle != null && firstPassDone) {
                long behind = sendDelta(xbzrle, bytes, position, slot, block, page + i);
                if (behind >= 0) {
                    position = behind;
                    continue;
                }
            }
            position = records.header(bytes, position, block.name, address, RamFlags.PAGE);
            if (position != slot) {
                // Pages before this one took less than a slot: close the gap.
                MemorySegment.copy(bytes, slot, bytes, position, pageSizeBytes);
            }
            position += pageSizeBytes;
            normal++;
        }
        out.advance(buffer, position);
        counters.zeroPages.lazySet(counters.zeroPages.get() + zero);
        counters.normalPages.lazySet(counters.normalPages.get() + normal);
    }

    private boolean isZero(MemorySegment bytes, long at) {
        return bytes.get(LONG, at) == 0
                && MemorySegment.mismatch(bytes, at, at + pageSizeBytes, zeroes, 0, pageSizeBytes) < 0;
    }

    /** Sends what changed in a page since it was last sent; -1 if a full page must go. */
    private long sendDelta(
            XbzrleCache cache, MemorySegment bytes, long position, long slot, Block block, long pageInBlock) {
        long page = block.firstPage + pageInBlock;
        if (!cache.contains(page)) {
            counters.xbzrleCacheMisses.incrementAndGet();
            cache.put(page, bytes, slot);
            return -1;
        }
        int length = XbzrleDelta.encode(
                cache.pages(), cache.offset(page), bytes, slot, pageSizeBytes, delta, 0, pageSizeBytes);
        if (length == 0) {
            return position;
        }
        cache.put(page, bytes, slot);
        // A delta that needs more room than is free before the next page's slot can't be placed: send the page.
        if (length == XbzrleDelta.OVERFLOW || length > pageSizeBytes - RamRecordWriter.MAX_HEADER_BYTES) {
            counters.xbzrleOverflows.incrementAndGet();
            return -1;
        }
        long at = records.deltaPrefix(bytes, position, block.name, pageInBlock * pageSizeBytes, length);
        MemorySegment.copy(delta, 0, bytes, at, length);
        counters.xbzrlePages.incrementAndGet();
        counters.xbzrleBytes.addAndGet(length + 3L + Long.BYTES);
        return at + length;
    }
}
