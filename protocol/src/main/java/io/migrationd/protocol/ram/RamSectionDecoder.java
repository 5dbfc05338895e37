package io.migrationd.protocol.ram;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Reads bodies of the {@code ram} section. It remembers the last block across bodies, as the CONTINUE flag demands; one
 * decoder lives as long as one channel. Wire source: QEMU 10.0 migration/ram.c, ram_load_precopy.
 *
 * @param <B> the handler's block
 */
public final class RamSectionDecoder<B> {
    /** More blocks than any machine has; a list is refused beyond. */
    public static final int MAX_BLOCKS = 4096;

    private static final int HEADER_BYTES = Long.BYTES;
    /** One batch fits one vectored write of the kernel (IOV_MAX). */
    private static final int MAX_RUN = 1024;

    private final int pageSizeBytes;
    private final boolean xbzrleAllowed;
    private final RamRecordHandler<B> handler;
    private long pageSizeSummary;
    private boolean postcopy;
    private @Nullable B lastBlock;

    /**
     * A decoder at the start of a stream.
     *
     * @param pageSizeBytes guest page size, a power of two from 512 to 65536
     * @param xbzrleAllowed whether delta pages were agreed on; refused otherwise
     */
    public RamSectionDecoder(int pageSizeBytes, boolean xbzrleAllowed, RamRecordHandler<B> handler) {
        if (Integer.bitCount(pageSizeBytes) != 1 || pageSizeBytes < 512 || pageSizeBytes > StreamReader.MAX_SLICE) {
            throw new IllegalArgumentException("a guest page of " + pageSizeBytes + " bytes");
        }
        this.pageSizeBytes = pageSizeBytes;
        this.xbzrleAllowed = xbzrleAllowed;
        this.handler = handler;
    }

    /** The first value of POSTCOPY_ADVISE: from now on the block list carries page sizes that are not the base one. */
    public void advise(long newPageSizeSummary) {
        pageSizeSummary = newPageSizeSummary;
    }

    /** LISTEN has come: from now on only pages are legal (spec: 03, section 7). */
    public void postcopyBegins() {
        postcopy = true;
    }

    /** Reads one body up to and including its end mark. */
    public void decodeBody(StreamReader in) throws IOException {
        boolean more = true;
        while (more) {
            more = decodeRecord(in);
        }
    }

    /**
     * Reads the preempt channel: records without sections around them, until the input ends between two records or an
     * end mark comes, as QEMU up to 7.2 sends one.
     */
    public void decodeChannel(StreamReader in) throws IOException {
        boolean more = !in.atEnd();
        while (more) {
            more = decodeRecord(in) && !in.atEnd();
        }
    }

    /** False at the end mark. */
    private boolean decodeRecord(StreamReader in) throws IOException {
        long at = in.offset();
        long word = in.readLong("ram.record");
        int flags = (int) (word & (pageSizeBytes - 1));
        long address = word & -pageSizeBytes;
        boolean sameBlock = (flags & RamFlags.CONTINUE) != 0;
        int record = flags & ~RamFlags.CONTINUE;
        if (postcopy && (record == RamFlags.MEM_SIZE || record == RamFlags.XBZRLE)) {
            throw badFlags(at, flags);
        }
        switch (record) {
            case RamFlags.EOS -> {
                return false;
            }
            case RamFlags.MEM_SIZE -> readBlockList(in, address, at);
            case RamFlags.ZERO -> readZeroPage(in, blockOf(in, sameBlock, at), address, at);
            case RamFlags.PAGE -> readFullPages(in, blockOf(in, sameBlock, at), address, at);
            case RamFlags.XBZRLE -> readDelta(in, blockOf(in, sameBlock, at), address, at);
            default -> throw badFlags(at, flags);
        }
        return true;
    }

    private ProtocolException badFlags(long at, int flags) {
        String legal = postcopy
                ? "one of ZERO, PAGE, EOS in postcopy"
                : "one of ZERO, MEM_SIZE, PAGE, EOS" + (xbzrleAllowed ? ", XBZRLE" : "");
        return new ProtocolException("ram.flags", at, legal, "0x" + Integer.toHexString(flags));
    }

    private B blockOf(StreamReader in, boolean sameBlock, long at) throws IOException {
        if (sameBlock) {
            if (lastBlock == null) {
                throw new ProtocolException("ram.block", at, "a block name", "CONTINUE before any block was named");
            }
            return lastBlock;
        }
        long nameAt = in.offset();
        B block = handler.block(in.readName("ram.block"), nameAt);
        lastBlock = block;
        return block;
    }

    private void checkInside(B block, long address, long at) throws ProtocolException {
        long length = handler.lengthBytes(block);
        if (address < 0 || address > length - pageSizeBytes) {
            throw new ProtocolException(
                    "ram.offset",
                    at,
                    "an offset below 0x" + Long.toHexString(length),
                    "0x" + Long.toHexString(address));
        }
    }

    private void readZeroPage(StreamReader in, B block, long address, long at) throws IOException {
        checkInside(block, address, at);
        int fill = in.readU8("ram.zero");
        if (fill != 0) {
            throw new ProtocolException("ram.zero", in.offset() - 1, "fill byte 0", fill);
        }
        handler.zeroPage(block, address);
    }

    private void readFullPages(StreamReader in, B block, long address, long at) throws IOException {
        checkInside(block, address, at);
        ByteBuffer window = in.window("ram.page", pageSizeBytes);
        int position = window.position();
        int stride = pageSizeBytes + HEADER_BYTES;
        int room = (window.limit() - position + HEADER_BYTES) / stride;
        long inBlock = (handler.lengthBytes(block) - address) / pageSizeBytes;
        int most = (int) Math.min(Math.min(room, inBlock), MAX_RUN);
        int count = 1;
        // The usual stream is page after page of one block: take what is buffered in one go.
        long expected = address | RamFlags.PAGE | RamFlags.CONTINUE;
        while (count < most
                && window.getLong(position + count * stride - HEADER_BYTES)
                        == expected + (long) count * pageSizeBytes) {
            count++;
        }
        handler.fullPages(block, address, count, window, position, stride);
        in.skipBuffered(count * stride - HEADER_BYTES);
    }

    private void readDelta(StreamReader in, B block, long address, long at) throws IOException {
        if (!xbzrleAllowed) {
            throw new ProtocolException("ram.flags", at, "no delta page, xbzrle is off", "XBZRLE");
        }
        checkInside(block, address, at);
        long markAt = in.offset();
        int mark = in.readU8("ram.xbzrle.mark");
        if (mark != 1) {
            throw new ProtocolException("ram.xbzrle.mark", markAt, "1", mark);
        }
        long lengthAt = in.offset();
        int length = in.readU16("ram.xbzrle.length");
        if (length > pageSizeBytes) {
            throw new ProtocolException("ram.xbzrle.length", lengthAt, "at most " + pageSizeBytes, length);
        }
        long deltaAt = in.offset();
        handler.deltaPage(block, address, in.slice("ram.xbzrle.delta", length), deltaAt);
    }

    private void readBlockList(StreamReader in, long total, long at) throws IOException {
        if (total < 0) {
            throw new ProtocolException("ram.blocks.total", at, "a size below 2^63", Long.toUnsignedString(total));
        }
        List<BlockListEntry> entries = new ArrayList<>();
        Set<String> names = new HashSet<>();
        long left = total;
        while (left > 0) {
            long entryAt = in.offset();
            if (entries.size() == MAX_BLOCKS) {
                throw new ProtocolException("ram.blocks", entryAt, "at most " + MAX_BLOCKS + " blocks", "one more");
            }
            String name = in.readName("ram.blocks.name");
            if (!names.add(name)) {
                throw new ProtocolException("ram.blocks.name", entryAt, "each block once", "'" + name + "' again");
            }
            long lengthAt = in.offset();
            long length = in.readLong("ram.blocks.length");
            if (length <= 0 || length > left || (length & (pageSizeBytes - 1)) != 0) {
                throw new ProtocolException(
                        "ram.blocks.length",
                        lengthAt,
                        "a multiple of %d up to the remaining 0x%x".formatted(pageSizeBytes, left),
                        "0x" + Long.toHexString(length) + " for '" + name + "'");
            }
            entries.add(new BlockListEntry(entryAt, name, length, announcedPageSize(in)));
            left -= length;
        }
        handler.blockList(entries, at);
    }

    private long announcedPageSize(StreamReader in) throws IOException {
        if (!BlockListEntry.mayHavePageSizes(pageSizeSummary)) {
            return 0;
        }
        ByteBuffer ahead = in.peek(Long.BYTES);
        boolean isPageSize = ahead != null && BlockListEntry.isPageSize(ahead.getLong(), pageSizeSummary);
        return isPageSize ? in.readLong("ram.blocks.page-size") : 0;
    }
}
