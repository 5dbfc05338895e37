package io.migrationd.migrationd.incoming;

import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Places the pages of one connection. A host page that is larger than a guest page is collected first and placed whole;
 * what was collected of one when the connection breaks is forgotten, and sent again. One thread.
 */
final class PostcopyPages implements RamRecordHandler<IncomingBlock> {
    private final IncomingMemory memory;
    private final Map<String, IncomingBlock> blocks = new HashMap<>();
    private final int pageSizeBytes;
    private final PageCounts counts;
    // The host page that is being collected; its memory is made when the first large one comes.
    private @Nullable MemorySegment collected;
    private @Nullable IncomingBlock collecting;
    private long start;
    private long filled;
    private boolean allZero;

    /** Pages by kind, of both connections. Counted by the run, not by the page. */
    static final class PageCounts {
        final AtomicLong normal = new AtomicLong();
        final AtomicLong zero = new AtomicLong();
        /** When the first page of this connection was placed; 0 before. */
        final AtomicLong firstPageNanos = new AtomicLong();
    }

    PostcopyPages(IncomingMemory memory, int pageSizeBytes, PageCounts counts) {
        this.memory = memory;
        this.pageSizeBytes = pageSizeBytes;
        this.counts = counts;
        memory.blocks().forEach(block -> blocks.put(block.name(), block));
    }

    @Override
    public void blockList(List<BlockListEntry> list, long offset) throws ProtocolException {
        throw new ProtocolException("ram.flags", offset, "no block list in postcopy", "MEM_SIZE");
    }

    @Override
    public IncomingBlock block(String name, long offset) throws ProtocolException {
        IncomingBlock block = blocks.get(name);
        if (block == null) {
            throw new ProtocolException("ram.block", offset, "an announced block", "'" + name + "'");
        }
        return block;
    }

    @Override
    public long lengthBytes(IncomingBlock block) {
        return block.ram().lengthBytes();
    }

    @Override
    public void zeroPage(IncomingBlock block, long address) throws IOException {
        if (block.hostPageBytes() == pageSizeBytes) {
            requireNoneCollected(block, address);
            memory.placeZero(block, address);
        } else {
            collect(block, address, null, 0);
        }
        counted(counts.zero, 1);
    }

    @Override
    public void fullPages(IncomingBlock block, long address, int count, ByteBuffer bytes, int position, int stride)
            throws IOException {
        MemorySegment source = MemorySegment.ofBuffer(bytes.duplicate().clear());
        boolean small = block.hostPageBytes() == pageSizeBytes;
        if (small) {
            requireNoneCollected(block, address);
            memory.placeRun(block, address, count, source, position, stride);
        }
        for (int i = 0; i < count && !small; i++) {
            collect(block, address + (long) i * pageSizeBytes, source, position + (long) i * stride);
        }
        counted(counts.normal, count);
    }

    @Override
    public void deltaPage(IncomingBlock block, long address, ByteBuffer delta, long offset) throws ProtocolException {
        throw new ProtocolException("ram.flags", offset, "no delta page in postcopy", "XBZRLE");
    }

    /** A section's end must not cut a host page in two. */
    void requireWholePages(long offset) throws ProtocolException {
        if (collecting != null) {
            throw new ProtocolException(
                    "ram.host-page",
                    offset,
                    "%d bytes of the host page at 0x%x of '%s'"
                            .formatted(collecting.hostPageBytes(), start, collecting.name()),
                    filled + " bytes");
        }
    }

    private void requireNoneCollected(IncomingBlock block, long address) throws ProtocolException {
        if (collecting != null) {
            throw split(block, address);
        }
    }

    /** Takes a guest page of a large host page; a {@code null} source is zeroes. */
    private void collect(IncomingBlock block, long address, @Nullable MemorySegment source, long sourceOffset)
            throws IOException {
        int hostPage = block.hostPageBytes();
        MemorySegment page = room(hostPage);
        if (collecting == null) {
            collecting = block;
            start = address - address % hostPage;
            filled = 0;
            allZero = true;
        } else if (!collecting.equals(block) || address - address % hostPage != start) {
            throw split(block, address);
        }
        if (source == null) {
            page.asSlice(address - start, pageSizeBytes).fill((byte) 0);
        } else {
            MemorySegment.copy(source, sourceOffset, page, address - start, pageSizeBytes);
            allZero = false;
        }
        filled += pageSizeBytes;
        if (filled == hostPage) {
            collecting = null;
            if (allZero) {
                memory.placeZero(block, start);
            } else {
                memory.place(block, start, page, 0);
            }
        }
    }

    private MemorySegment room(int hostPage) {
        if (collected == null || collected.byteSize() < hostPage) {
            collected = Arena.ofAuto().allocate(hostPage, pageSizeBytes);
        }
        return collected;
    }

    private ProtocolException split(IncomingBlock block, long address) {
        return new ProtocolException(
                "ram.host-page",
                address,
                "the rest of the host page at 0x%x of '%s'"
                        .formatted(start, collecting == null ? "" : collecting.name()),
                "a page of another one, 0x%x of '%s'".formatted(address, block.name()));
    }

    private void counted(AtomicLong counter, int pages) {
        counter.addAndGet(pages);
        if (counts.firstPageNanos.get() == 0) {
            counts.firstPageNanos.compareAndSet(0, System.nanoTime());
        }
    }
}
