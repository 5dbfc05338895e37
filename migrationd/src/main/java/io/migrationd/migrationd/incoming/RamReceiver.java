package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.state.LoadingHandler;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.ram.XbzrleDelta;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Stores the pages of the {@code ram} section. Runs of pages go from the receive buffer into the block by one vectored
 * write; a zero page costs nothing where the block is still a hole.
 */
final class RamReceiver implements LoadingHandler, RamRecordHandler<RamReceiver.Block>, AutoCloseable {
    private final IncomingGuest guest;
    private final int pageSizeBytes;
    private final RamSectionDecoder<Block> decoder;
    private final Map<String, Block> blocks = new HashMap<>();
    private final Arena arena = Arena.ofConfined();
    private final MemorySegment page;

    /** Read by any thread, written by the loading one per batch. */
    private final AtomicLong normalPages = new AtomicLong();

    private final AtomicLong zeroPages = new AtomicLong();
    private final AtomicLong totalBytes = new AtomicLong();

    /** A block on its way in. */
    static final class Block {
        final RamBlock ram;
        /** Pages that hold something: all others are holes and zero. */
        final PageBitmap present;

        Block(RamBlock ram, int pageSizeBytes) {
            this.ram = ram;
            this.present = new PageBitmap(ram.lengthBytes() / pageSizeBytes);
        }
    }

    RamReceiver(IncomingGuest guest, int pageSizeBytes, boolean xbzrleAllowed) {
        this.guest = guest;
        this.pageSizeBytes = pageSizeBytes;
        this.decoder = new RamSectionDecoder<>(pageSizeBytes, xbzrleAllowed, this);
        this.page = arena.allocate(pageSizeBytes, Long.BYTES);
    }

    @Override
    public void load(StreamReader in) throws IOException {
        decoder.decodeBody(in);
    }

    @Override
    public boolean switchoverAckNeeded() {
        return false;
    }

    /** Whether the block list has come: without it there is no RAM and no guest. */
    boolean hasBlocks() {
        return !blocks.isEmpty();
    }

    /** Whether a block of that name was announced. */
    boolean isKnown(String name) {
        return blocks.containsKey(name);
    }

    long normalPages() {
        return normalPages.get();
    }

    long zeroPages() {
        return zeroPages.get();
    }

    long totalBytes() {
        return totalBytes.get();
    }

    @Override
    public void blockList(List<BlockListEntry> entries, long offset) throws IOException {
        for (BlockListEntry entry : entries) {
            Block known = blocks.get(entry.name());
            if (known == null) {
                RamBlock ram = guest.block(
                        entry.name(), entry.lengthBytes(), Math.toIntExact(entry.pageSizeBytes()), entry.offset());
                blocks.put(entry.name(), new Block(ram, pageSizeBytes));
                totalBytes.addAndGet(entry.lengthBytes());
            } else if (known.ram.lengthBytes() != entry.lengthBytes()) {
                throw new ProtocolException(
                        "ram.blocks.length",
                        entry.offset(),
                        "0x%x as announced before for '%s'".formatted(known.ram.lengthBytes(), entry.name()),
                        "0x" + Long.toHexString(entry.lengthBytes()));
            }
        }
    }

    @Override
    public Block block(String name, long offset) throws ProtocolException {
        Block block = blocks.get(name);
        if (block == null) {
            throw new ProtocolException(
                    "ram.block",
                    offset,
                    blocks.isEmpty() ? "the block list first" : "an announced block",
                    "'" + name + "'");
        }
        return block;
    }

    @Override
    public long lengthBytes(Block block) {
        return block.ram.lengthBytes();
    }

    @Override
    public void zeroPage(Block block, long address) throws IOException {
        if (block.present.clear(address / pageSizeBytes)) {
            block.ram.punchHole(address, pageSizeBytes);
        }
        zeroPages.lazySet(zeroPages.get() + 1);
    }

    @Override
    public void fullPages(Block block, long address, int count, ByteBuffer bytes, int position, int stride)
            throws IOException {
        MemorySegment source = MemorySegment.ofBuffer(bytes.duplicate().clear());
        block.ram.writePages(address, count, pageSizeBytes, source, position, stride);
        long first = address / pageSizeBytes;
        block.present.set(first, first + count);
        normalPages.lazySet(normalPages.get() + count);
    }

    @Override
    public void deltaPage(Block block, long address, ByteBuffer delta, long offset) throws IOException {
        block.ram.readPages(address, 1, pageSizeBytes, page, 0, pageSizeBytes);
        XbzrleDelta.apply(delta, offset, page, 0, pageSizeBytes);
        block.ram.writePages(address, 1, pageSizeBytes, page, 0, pageSizeBytes);
        block.present.set(address / pageSizeBytes);
        normalPages.lazySet(normalPages.get() + 1);
    }

    @Override
    public void close() {
        arena.close();
    }
}
