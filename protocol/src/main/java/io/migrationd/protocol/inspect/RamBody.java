package io.migrationd.protocol.inspect;

import io.migrationd.protocol.inspect.GuestRam.Block;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.ram.XbzrleDelta;
import io.migrationd.protocol.stream.Printable;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;
import org.jspecify.annotations.Nullable;

/**
 * Records of the {@code ram} section on one channel, in every form from QEMU 7.2 to 11.1. Unlike the daemon's decoder
 * it takes whatever some version has ever sent, and looks at no content but that of deltas and compressed pages.
 */
final class RamBody implements BodyGrammar {
    private static final int KINDS = RamFlags.ZERO
            | RamFlags.MEM_SIZE
            | RamFlags.PAGE
            | RamFlags.EOS
            | RamFlags.XBZRLE
            | RamFlags.HOOK
            | RamFlags.COMPRESS_PAGE
            | RamFlags.MULTIFD_FLUSH;
    private static final int POSTCOPY_KINDS = RamFlags.ZERO | RamFlags.PAGE | RamFlags.COMPRESS_PAGE | RamFlags.EOS;
    private static final int MAPPED_KINDS = RamFlags.MEM_SIZE | RamFlags.EOS;
    private static final int PAGE_KINDS = RamFlags.ZERO | RamFlags.PAGE | RamFlags.COMPRESS_PAGE | RamFlags.XBZRLE;

    private final GuestRam ram;
    private final Trace trace;
    private final long fileEnd;
    private final byte[] scratchPage;
    private boolean postcopy;
    private long recordOffset;
    private long address;
    private @Nullable Block lastBlock;
    /** The host page that has begun to arrive but is not complete: its block, its start, its guest pages so far. */
    private @Nullable Block hostPageBlock;

    private long hostPageStart;
    private long hostPageCount;

    /** {@code fileEnd} bounds where pages of a mapped-ram file can lie. */
    RamBody(GuestRam ram, Trace trace, long fileEnd) {
        this.ram = ram;
        this.trace = trace;
        this.fileEnd = fileEnd;
        this.scratchPage = new byte[ram.pageSize];
    }

    /** From POSTCOPY_LISTEN on, host pages come whole and few kinds of records are left. */
    void postcopyBegins() {
        postcopy = true;
    }

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        trace.enter(this);
        while (record(in, report)) {
            // Until the end mark; nothing else tells where a body ends.
        }
        trace.leave();
    }

    /** Where it is, for the message of a fault. */
    @Override
    public String toString() {
        String block = lastBlock == null ? "" : " of block " + Printable.quote(lastBlock.name());
        return "the RAM record at offset %d (page 0x%x%s)".formatted(recordOffset, address, block);
    }

    /** Reads one record; false if it was the end mark. */
    boolean record(StreamReader in, BodyReport report) throws IOException {
        recordOffset = in.offset();
        long word = in.readLong("ram.record");
        int flags = (int) (word & (ram.pageSize - 1));
        address = word & -ram.pageSize;
        int kind = kind(flags);
        if ((kind & PAGE_KINDS) != 0) {
            page(kind, (flags & RamFlags.CONTINUE) != 0, in, report);
            return true;
        }
        switch (kind) {
            case RamFlags.MEM_SIZE -> blockList(in, report);
            case RamFlags.MULTIFD_FLUSH -> report.count("mfdflush");
            case RamFlags.HOOK ->
                throw new ProtocolException("ram.flags", recordOffset, "no HOOK, which is for RDMA only", hex(flags));
            default -> {
                endMark(report);
                return false;
            }
        }
        return true;
    }

    private int kind(int flags) throws ProtocolException {
        int kind = flags & ~RamFlags.CONTINUE;
        if (Integer.bitCount(kind) != 1 || (kind & KINDS) == 0) {
            throw new ProtocolException(
                    "ram.flags", recordOffset, "exactly one record flag of 0x%x".formatted(KINDS), hex(flags));
        }
        if (postcopy && (kind & POSTCOPY_KINDS) == 0) {
            throw new ProtocolException(
                    "ram.flags", recordOffset, "ZERO, PAGE, COMPRESS_PAGE or EOS after POSTCOPY_LISTEN", hex(flags));
        }
        if (ram.mappedRam && (kind & MAPPED_KINDS) == 0) {
            throw new ProtocolException("ram.flags", recordOffset, "MEM_SIZE or EOS with mapped-ram", hex(flags));
        }
        return kind;
    }

    private void endMark(BodyReport report) throws ProtocolException {
        if (hostPageBlock != null) {
            throw new ProtocolException(
                    "ram.host-page",
                    recordOffset,
                    "the rest of host page 0x%x of %s".formatted(hostPageStart, Printable.quote(hostPageBlock.name())),
                    "the end mark after " + hostPageCount + " guest pages");
        }
        report.count("eos");
    }

    private void page(int kind, boolean sameBlock, StreamReader in, BodyReport report) throws IOException {
        Block block = block(sameBlock, in);
        if (sameBlock) {
            report.count("continue");
        }
        if (address < 0 || address >= block.length()) {
            throw new ProtocolException(
                    "ram.offset",
                    recordOffset,
                    "an offset below 0x%x, the length of %s".formatted(block.length(), Printable.quote(block.name())),
                    "0x" + Long.toHexString(address));
        }
        if (postcopy) {
            checkHostPage(block);
        }
        switch (kind) {
            case RamFlags.ZERO -> zeroPage(in, report);
            case RamFlags.PAGE -> {
                in.slice("ram.page", ram.pageSize);
                report.count("page");
            }
            case RamFlags.XBZRLE -> deltaPage(in, report);
            default -> compressedPage(in, report);
        }
    }

    private Block block(boolean sameBlock, StreamReader in) throws IOException {
        if (sameBlock) {
            if (lastBlock == null) {
                throw new ProtocolException(
                        "ram.block", recordOffset, "a block name", "CONTINUE before any block was named");
            }
            return lastBlock;
        }
        long at = in.offset();
        String name = in.readName("ram.block");
        Block block = ram.block(name);
        if (block == null) {
            throw new ProtocolException("ram.block", at, "a block of the block list", Printable.quote(name));
        }
        lastBlock = block;
        return block;
    }

    private void zeroPage(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        int fill = in.readU8("ram.zero");
        if (fill != 0) {
            throw new ProtocolException("ram.zero", at, "fill byte 0", fill);
        }
        report.count("zero");
    }

    private void deltaPage(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        int mark = in.readU8("ram.xbzrle.mark");
        if (mark != 1) {
            throw new ProtocolException("ram.xbzrle.mark", at, "1", mark);
        }
        at = in.offset();
        int length = in.readU16("ram.xbzrle.length");
        if (length > ram.pageSize) {
            throw new ProtocolException("ram.xbzrle.length", at, "at most " + ram.pageSize, length);
        }
        at = in.offset();
        XbzrleDelta.apply(
                in.slice("ram.xbzrle.delta", length), at, MemorySegment.ofArray(scratchPage), 0, ram.pageSize);
        report.count("xbzrle");
        report.count("xbytes", length);
    }

    private void compressedPage(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        long length = in.readU32("ram.compress.length");
        // zlib's compressBound.
        int bound = ram.pageSize + (ram.pageSize >> 12) + (ram.pageSize >> 14) + 13;
        if (length > bound) {
            throw new ProtocolException("ram.compress.length", at, "at most " + bound, length);
        }
        at = in.offset();
        long inflated = inflate(in.readBytes("ram.compress.data", length, bound));
        if (inflated != ram.pageSize) {
            throw new ProtocolException(
                    "ram.compress.data",
                    at,
                    "a zlib stream of one page",
                    inflated < 0 ? "something else" : "one of another size");
        }
        report.count("compress");
    }

    /**
     * Size of the page; -1 if it is no zlib stream that ends with these bytes, another number if it is not one page.
     */
    private long inflate(byte[] compressed) {
        Inflater inflater = new Inflater();
        try {
            inflater.setInput(compressed);
            int size = inflater.inflate(scratchPage);
            if (size == scratchPage.length && !inflater.finished()) {
                size += inflater.inflate(new byte[1]);
            }
            return inflater.finished() && inflater.getRemaining() == 0 ? size : -1;
        } catch (DataFormatException _) {
            return -1;
        } finally {
            inflater.end();
        }
    }

    private void checkHostPage(Block block) throws ProtocolException {
        if (block.pageSize() <= ram.pageSize) {
            return;
        }
        long start = address & -block.pageSize();
        if (hostPageBlock == null) {
            hostPageBlock = block;
            hostPageStart = start;
            hostPageCount = 0;
        } else if (!hostPageBlock.equals(block) || hostPageStart != start) {
            throw new ProtocolException(
                    "ram.host-page",
                    recordOffset,
                    "the rest of host page 0x%x of %s, %d of %d guest pages came"
                            .formatted(
                                    hostPageStart,
                                    Printable.quote(hostPageBlock.name()),
                                    hostPageCount,
                                    hostPageBlock.pageSize() / ram.pageSize),
                    "page 0x%x of %s".formatted(address, Printable.quote(block.name())));
        }
        if (++hostPageCount == block.pageSize() / ram.pageSize) {
            hostPageBlock = null;
        }
    }

    private void blockList(StreamReader in, BodyReport report) throws IOException {
        if (address < 0) {
            throw new ProtocolException(
                    "ram.blocks.total", recordOffset, "a size below 2^63", Long.toUnsignedString(address));
        }
        report.count("mem_size");
        report.detail("ram_bytes", address);
        Set<String> names = new HashSet<>();
        for (long left = address; left > 0; ) {
            left -= blockEntry(left, names, in, report);
        }
    }

    private long blockEntry(long left, Set<String> names, StreamReader in, BodyReport report) throws IOException {
        long entryAt = in.offset();
        String name = in.readName("ram.blocks.name");
        if (!names.add(name) || names.size() > RamSectionDecoder.MAX_BLOCKS) {
            throw new ProtocolException(
                    "ram.blocks.name",
                    entryAt,
                    "each block once, at most " + RamSectionDecoder.MAX_BLOCKS,
                    Printable.quote(name));
        }
        long at = in.offset();
        long length = in.readLong("ram.blocks.length");
        if (length <= 0 || length > left || (length & (ram.pageSize - 1)) != 0) {
            throw new ProtocolException(
                    "ram.blocks.length",
                    at,
                    "a multiple of %d up to the remaining 0x%x".formatted(ram.pageSize, left),
                    "0x%x for %s".formatted(length, Printable.quote(name)));
        }
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("name", name);
        details.put("bytes", length);
        long announced = announcedPageSize(in);
        if (announced != 0) {
            details.put("page_size", announced);
        }
        if (ram.ignoreShared) {
            details.put("guest_physical", "0x" + Long.toHexString(in.readLong("ram.blocks.address")));
        }
        ram.list(new Block(name, length, announced == 0 ? ram.basePageSize() : announced));
        if (ram.mappedRam) {
            MappedRam.walkBlock(in, ram.pageSize, length, fileEnd, details);
        }
        report.child(entryAt, "block", details);
        return length;
    }

    private long announcedPageSize(StreamReader in) throws IOException {
        if (ram.mappedRam || !BlockListEntry.mayHavePageSizes(ram.hostPageSizes)) {
            return 0;
        }
        ByteBuffer ahead = in.peek(Long.BYTES);
        boolean isPageSize = ahead != null && BlockListEntry.isPageSize(ahead.getLong(), ram.hostPageSizes);
        return isPageSize ? in.readLong("ram.blocks.page-size") : 0;
    }

    private static String hex(int flags) {
        return "0x" + Integer.toHexString(flags);
    }
}
