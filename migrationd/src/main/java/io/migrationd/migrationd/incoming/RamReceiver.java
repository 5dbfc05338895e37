package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.state.LoadingHandler;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.ram.XbzrleDelta;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;

/**
 * Stores the pages of the {@code ram} section. Runs of pages go from the receive buffer into the block by one vectored
 * write; a zero page costs nothing where the block is still a hole.
 */
final class RamReceiver implements LoadingHandler, RamRecordHandler<RamReceiver.Block>, AutoCloseable {
    private final IncomingGuest guest;
    private final int pageSizeBytes;
    private final RamSectionDecoder<Block> decoder;
    /** In the order of the block list. */
    private final Map<String, Block> blocks = new LinkedHashMap<>();

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment page;
    private boolean advised;

    /** Read by any thread, written by the loading one per batch. */
    private final AtomicLong normalPages = new AtomicLong();

    private final AtomicLong zeroPages = new AtomicLong();
    private final AtomicLong totalBytes = new AtomicLong();

    /** A block on its way in. */
    static final class Block {
        final RamBlock ram;
        /** Pages that hold something: all others are holes and zero. */
        final PageBitmap present;
        /** What was received, holes too: only when postcopy may follow. */
        final @Nullable IncomingBlock incoming;

        Block(RamBlock ram, int pageSizeBytes, boolean postcopyMayFollow) {
            this.ram = ram;
            this.present = new PageBitmap(ram.lengthBytes() / pageSizeBytes);
            this.incoming = postcopyMayFollow ? new IncomingBlock(ram, pageSizeBytes) : null;
        }

        void received(long from, long to) {
            if (incoming != null) {
                incoming.received().set(from, to);
            }
        }
    }

    RamReceiver(IncomingGuest guest, int pageSizeBytes, boolean xbzrleAllowed) {
        this.guest = guest;
        this.pageSizeBytes = pageSizeBytes;
        this.decoder = new RamSectionDecoder<>(pageSizeBytes, xbzrleAllowed, this);
        this.page = arena.allocate(pageSizeBytes, Long.BYTES);
    }

    /** ADVISE has come, before the block list: what is received is remembered from now on. */
    void advise(long pageSizeSummary, long offset) throws ProtocolException {
        if (hasBlocks()) {
            throw new ProtocolException(
                    "command.postcopy-advise", offset, "ADVISE before the ram section", "it behind the block list");
        }
        decoder.advise(pageSizeSummary);
        advised = true;
    }

    /** Forgets ranges that the guest has written since they came, and empties them. */
    void discard(String name, List<Command.Range> ranges, long offset) throws IOException {
        Block block = block(name, offset);
        int hostPage = Math.max(block.ram.pageSizeBytes(), pageSizeBytes);
        for (Command.Range range : ranges) {
            long end = range.start() + range.length();
            if (range.start() % hostPage != 0 || range.length() % hostPage != 0 || end > block.ram.lengthBytes()) {
                throw new ProtocolException(
                        "command.postcopy-ram-discard.range",
                        offset,
                        "host pages of %d bytes within the %d bytes of '%s'"
                                .formatted(hostPage, block.ram.lengthBytes(), name),
                        "0x%x to 0x%x".formatted(range.start(), end));
            }
            block.ram.punchHole(range.start(), range.length());
            block.present.clear(range.start() / pageSizeBytes, end / pageSizeBytes);
            if (block.incoming != null) {
                block.incoming.received().clear(range.start() / pageSizeBytes, end / pageSizeBytes);
            }
        }
    }

    /** The blocks and what is received of them, for postcopy. Only after {@link #advise}. */
    List<IncomingBlock> incomingBlocks() {
        return blocks.values().stream()
                .map(block -> Objects.requireNonNull(block.incoming, "advised"))
                .toList();
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
                blocks.put(entry.name(), new Block(ram, pageSizeBytes, advised));
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
        block.received(address / pageSizeBytes, address / pageSizeBytes + 1);
        zeroPages.lazySet(zeroPages.get() + 1);
    }

    @Override
    public void fullPages(Block block, long address, int count, ByteBuffer bytes, int position, int stride)
            throws IOException {
        MemorySegment source = MemorySegment.ofBuffer(bytes.duplicate().clear());
        block.ram.writePages(address, count, pageSizeBytes, source, position, stride);
        long first = address / pageSizeBytes;
        block.present.set(first, first + count);
        block.received(first, first + count);
        normalPages.lazySet(normalPages.get() + count);
    }

    @Override
    public void deltaPage(Block block, long address, ByteBuffer delta, long offset) throws IOException {
        block.ram.readPages(address, 1, pageSizeBytes, page, 0, pageSizeBytes);
        XbzrleDelta.apply(delta, offset, page, 0, pageSizeBytes);
        block.ram.writePages(address, 1, pageSizeBytes, page, 0, pageSizeBytes);
        block.present.set(address / pageSizeBytes);
        block.received(address / pageSizeBytes, address / pageSizeBytes + 1);
        normalPages.lazySet(normalPages.get() + 1);
    }

    @Override
    public void close() {
        arena.close();
    }
}
