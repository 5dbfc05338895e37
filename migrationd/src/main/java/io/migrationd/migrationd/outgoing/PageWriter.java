package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.SendBuffer;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.ram.XbzrleDelta;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/**
 * Writes claimed pages to one channel: a run of data is read by one system call straight into the channel's buffer,
 * behind room for the headers; holes are found without reading them. A page costs no allocation, no lock and no log
 * line. One thread.
 */
final class PageWriter {
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private final int pageSizeBytes;
    private final int maxRun;
    private final RamCounters counters;
    private final MemorySegment zeroes;
    private final @Nullable XbzrleCache xbzrle;
    private final MemorySegment delta;
    private final RamRecordWriter records = new RamRecordWriter();

    private boolean sendsDeltas;
    // The part of a block of which inHole holds, in bytes, as last looked at.
    private @Nullable SourceBlock extentBlock;
    private long extentStart;
    private long extentEnd;
    private boolean inHole;

    /**
     * A writer with an own CONTINUE state.
     *
     * @param zeroes a page of zeroes
     * @param delta a page of scratch memory, used only with {@code xbzrle}
     */
    PageWriter(RamCounters counters, MemorySegment zeroes, @Nullable XbzrleCache xbzrle, MemorySegment delta) {
        this.pageSizeBytes = (int) zeroes.byteSize();
        this.maxRun = maxRun(pageSizeBytes);
        this.counters = counters;
        this.zeroes = zeroes;
        this.xbzrle = xbzrle;
        this.delta = delta;
    }

    /** Pages whose records fit one buffer. */
    static int maxRun(int pageSizeBytes) {
        return (SendBuffer.CAPACITY - RamRecordWriter.MAX_HEADER_BYTES) / (pageSizeBytes + Long.BYTES);
    }

    /** Every page was sent once: what is in the cache may go as deltas. */
    void sendDeltas() {
        sendsDeltas = true;
    }

    /** The guest may have written into holes. */
    void forgetHoles() {
        extentBlock = null;
    }

    /** Writes the records of a run. */
    void write(StreamOutput out, PageRun run) throws IOException {
        SourceBlock block = run.block();
        long page = run.from();
        while (page < run.to()) {
            findExtent(block, page * pageSizeBytes);
            long end = Math.min(run.to(), Math.max(page + 1, Math.ceilDiv(extentEnd, pageSizeBytes)));
            if (inHole) {
                writeHole(out, block, page, end);
            } else {
                end = Math.min(end, page + maxRun);
                writeData(out, block, page, (int) (end - page));
            }
            page = end;
        }
    }

    /**
     * Writes the records of a run that somebody waits for. Reads holes like data: a few zeroes cost less than the two
     * system calls that find a hole's ends, and on a large guest those walk far.
     */
    void writeUrgent(StreamOutput out, PageRun run) throws IOException {
        for (long page = run.from(); page < run.to(); ) {
            int count = (int) Math.min(maxRun, run.to() - page);
            writeData(out, run.block(), page, count);
            page += count;
        }
    }

    /** Finds out whether the page at {@code offset} lies in a hole and how far that holds. Holes are never read. */
    // Identity is meant: one object stands for one block.
    @SuppressWarnings("ReferenceEquality")
    private void findExtent(SourceBlock block, long offset) throws ErrnoException {
        if (block == extentBlock && offset >= extentStart && offset < extentEnd) {
            return;
        }
        long data = block.ram.nextData(offset);
        // File systems with small blocks have holes that end within a page: such a page is data.
        inHole = data >= offset + pageSizeBytes;
        extentEnd = inHole ? data - data % pageSizeBytes : block.ram.nextHole(data);
        extentStart = offset;
        extentBlock = block;
    }

    private void writeHole(StreamOutput out, SourceBlock block, long from, long to) throws IOException {
        for (long page = from; page < to; page++) {
            SendBuffer buffer = out.room(RamRecordWriter.MAX_HEADER_BYTES + 1);
            out.advance(buffer, records.zeroPage(buffer.segment(), buffer.limit(), block.name, page * pageSizeBytes));
            if (xbzrle != null) {
                xbzrle.zero(block.firstPage + page);
            }
        }
        counters.zeroPages.addAndGet(to - from);
    }

    private void writeData(StreamOutput out, SourceBlock block, long page, int count) throws IOException {
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
            if (xbzrle != null && sendsDeltas) {
                long behind = writeDelta(xbzrle, bytes, position, slot, block, page + i);
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
        counters.zeroPages.addAndGet(zero);
        counters.normalPages.addAndGet(normal);
    }

    private boolean isZero(MemorySegment bytes, long at) {
        return bytes.get(LONG, at) == 0
                && MemorySegment.mismatch(bytes, at, at + pageSizeBytes, zeroes, 0, pageSizeBytes) < 0;
    }

    /** Writes what changed in a page since it was last sent; -1 if a full page must go. */
    private long writeDelta(
            XbzrleCache cache, MemorySegment bytes, long position, long slot, SourceBlock block, long pageInBlock) {
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
