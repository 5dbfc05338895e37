package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Records of the RAM section on one channel, in any form from QEMU 7.2 on. Reads headers, counts, and says what to pass
 * over. Nothing is allocated per page.
 */
final class RamRecords {
    private static final int PAGE_KINDS = RamFlags.ZERO | RamFlags.PAGE | RamFlags.COMPRESS_PAGE | RamFlags.XBZRLE;
    private static final int POSTCOPY_KINDS = RamFlags.ZERO | RamFlags.PAGE | RamFlags.COMPRESS_PAGE | RamFlags.EOS;
    private static final int NO_BLOCK = -1;

    private final List<RamBlockSeen> blocks = new ArrayList<>();
    private final List<byte[]> blockNames = new ArrayList<>();
    private long[] blockLengths = new long[16];
    private final PassCounter passes;
    private int pageSize;
    private boolean listed;
    private boolean addresses;
    private long hostPageSizes;
    private boolean postcopy;
    private int current = NO_BLOCK;
    private long listLeft;
    private long skip;
    private boolean bodyEnded;
    private long base;

    private long fullPages;
    private long zeroPages;
    private long deltaPages;
    private long deltaBytes;
    private long compressedPages;
    private long endMarks;
    private long multifdFlushes;
    private long recordBytes;

    RamRecords(int pageSize, PassCounter passes) {
        this.pageSize = pageSize;
        this.passes = passes;
    }

    void pageSize(int bytes) {
        pageSize = bytes;
    }

    int pageSize() {
        return pageSize;
    }

    void hostPageSizes(long summary) {
        hostPageSizes = summary;
    }

    long hostPageSizes() {
        return hostPageSizes;
    }

    /** Capability x-ignore-shared: the block list has addresses. */
    void withAddresses() {
        addresses = true;
    }

    /** From the package on pages come in any order and few kinds of records are left. */
    void postcopyBegins() {
        postcopy = true;
        passes.stop(this, base);
    }

    /** The first END of a precopy stream. */
    void lastPassBegins(long offset) {
        passes.lastBegins(this, offset);
    }

    /** What an earlier connection of the same migration has announced. */
    void inherit(RamRecords before) {
        pageSize = before.pageSize;
        hostPageSizes = before.hostPageSizes;
        addresses = before.addresses;
        for (RamBlockSeen block : before.blocks) {
            add(block);
        }
        listed = before.listed;
    }

    /** A body begins: its end mark has not been seen. */
    void bodyBegins() {
        bodyEnded = false;
    }

    boolean isBodyEnded() {
        return bodyEnded;
    }

    /** What the last step wants to be passed over behind what it consumed. */
    long takeSkip() {
        long length = skip;
        skip = 0;
        return length;
    }

    /** As {@link PushParser#step}; {@code offset} is that of the byte at {@code at}. */
    int step(ByteBuffer in, int at, int limit, long offset) throws ProtocolException {
        base = offset - at;
        int p = at;
        while (true) {
            if (listLeft > 0) {
                int entry = listEntry(in, p, limit);
                if (entry < 0) {
                    return p > at ? p - at : entry;
                }
                p += entry;
                continue;
            }
            if (limit - p < Long.BYTES) {
                return p > at ? p - at : ~Long.BYTES;
            }
            long word = in.getLong(p);
            int flags = (int) word & (pageSize - 1);
            if (flags == (RamFlags.PAGE | RamFlags.CONTINUE) && current >= 0) {
                // The usual stream is page after page of one block.
                place(word & -pageSize, p);
                fullPages++;
                recordBytes += Long.BYTES + pageSize;
                int rest = limit - p - Long.BYTES - pageSize;
                if (rest < 0) {
                    skip = -rest;
                    return limit - at;
                }
                p = limit - rest;
                continue;
            }
            int consumed = record(in, p, limit, word, flags);
            if (consumed < 0) {
                return p > at ? p - at : consumed;
            }
            p += consumed;
            if (bodyEnded) {
                return p - at;
            }
            if (skip > 0) {
                int piece = (int) Math.min(skip, limit - p);
                skip -= piece;
                p += piece;
                if (skip > 0) {
                    return p - at;
                }
            }
        }
    }

    private int record(ByteBuffer in, int p, int limit, long word, int flags) throws ProtocolException {
        int kind = flags & ~RamFlags.CONTINUE;
        if (Integer.bitCount(kind) != 1 || (postcopy && (kind & POSTCOPY_KINDS) == 0)) {
            throw badFlags(p, flags);
        }
        if ((kind & PAGE_KINDS) != 0) {
            return page(in, p, limit, word & -pageSize, kind, (flags & RamFlags.CONTINUE) != 0);
        }
        switch (kind) {
            case RamFlags.EOS -> {
                endMarks++;
                bodyEnded = true;
            }
            case RamFlags.MULTIFD_FLUSH -> {
                multifdFlushes++;
                passes.flushed(this, base + p);
            }
            case RamFlags.MEM_SIZE -> {
                listLeft = word & -pageSize;
                if (listLeft < 0) {
                    throw new ProtocolException("ram.blocks.total", base + p, "a size below 2^63", listLeft);
                }
                blocks.clear();
                blockNames.clear();
                current = NO_BLOCK;
                listed = true;
            }
            default -> throw badFlags(p, flags);
        }
        recordBytes += Long.BYTES;
        return Long.BYTES;
    }

    private ProtocolException badFlags(int p, int flags) {
        return new ProtocolException(
                "ram.flags", base + p, "one record flag of the ram section", "0x" + Integer.toHexString(flags));
    }

    /** A page record other than the usual one. Nothing is changed before all of its header is there. */
    private int page(ByteBuffer in, int p, int limit, long address, int kind, boolean sameBlock)
            throws ProtocolException {
        int nameLength = 0;
        int payload = p + Long.BYTES;
        if (!sameBlock) {
            if (limit - payload < 1) {
                return ~(Long.BYTES + 1);
            }
            nameLength = Byte.toUnsignedInt(in.get(payload));
            payload += 1 + nameLength;
        }
        int headerBytes = payload
                - p
                + switch (kind) {
                    case RamFlags.ZERO -> 1;
                    case RamFlags.XBZRLE -> 3;
                    case RamFlags.COMPRESS_PAGE -> Integer.BYTES;
                    default -> 0;
                };
        if (limit - p < headerBytes) {
            return ~headerBytes;
        }
        if (!sameBlock) {
            current = block(in, payload - nameLength, nameLength, p);
        } else if (current == NO_BLOCK) {
            throw new ProtocolException("ram.block", base + p, "a block name", "CONTINUE before any block was named");
        }
        place(address, p);
        count(in, payload, kind, p);
        recordBytes += headerBytes + skip;
        return headerBytes;
    }

    private void count(ByteBuffer in, int payload, int kind, int p) throws ProtocolException {
        switch (kind) {
            case RamFlags.ZERO -> zeroPages++;
            case RamFlags.XBZRLE -> {
                int length = Short.toUnsignedInt(in.getShort(payload + 1));
                if (in.get(payload) != 1 || length > pageSize) {
                    throw new ProtocolException(
                            "ram.xbzrle", base + p, "mark 1 and at most " + pageSize + " bytes", length + " bytes");
                }
                deltaPages++;
                deltaBytes += length;
                skip = length;
            }
            case RamFlags.COMPRESS_PAGE -> {
                int length = in.getInt(payload);
                if (length < 0 || length > 2 * pageSize) {
                    throw new ProtocolException("ram.compress.length", base + p, "at most two pages", length);
                }
                compressedPages++;
                skip = length;
            }
            default -> {
                fullPages++;
                skip = pageSize;
            }
        }
    }

    private void place(long address, int p) throws ProtocolException {
        if (address < 0 || address >= blockLengths[current]) {
            throw new ProtocolException(
                    "ram.offset",
                    base + p,
                    "an offset below 0x" + Long.toHexString(blockLengths[current]),
                    "0x" + Long.toHexString(address));
        }
        if (passes.fallsBack(current, address)) {
            passes.wrapped(this, base + p);
        }
    }

    private int block(ByteBuffer in, int nameAt, int length, int p) throws ProtocolException {
        if (current >= 0 && isName(in, nameAt, length, blockNames.get(current))) {
            return current;
        }
        for (int i = 0; i < blockNames.size(); i++) {
            if (isName(in, nameAt, length, blockNames.get(i))) {
                return i;
            }
        }
        byte[] name = new byte[length];
        in.get(nameAt, name);
        if (listed || length == 0) {
            throw new ProtocolException(
                    "ram.block", base + p, "a block of the block list", "'" + Names.fromWire(name) + "'");
        }
        // A recovery connection does not repeat the list.
        add(new RamBlockSeen(Names.fromWire(name), 0, 0));
        return blocks.size() - 1;
    }

    private static boolean isName(ByteBuffer in, int at, int length, byte[] name) {
        if (name.length != length) {
            return false;
        }
        for (int i = 0; i < length; i++) {
            if (in.get(at + i) != name[i]) {
                return false;
            }
        }
        return true;
    }

    private void add(RamBlockSeen block) {
        if (blocks.size() == RamSectionDecoder.MAX_BLOCKS) {
            throw new IllegalStateException("more than " + RamSectionDecoder.MAX_BLOCKS + " blocks");
        }
        int index = blocks.size();
        if (index == blockLengths.length) {
            blockLengths = Arrays.copyOf(blockLengths, 2 * index);
        }
        blockLengths[index] = block.lengthBytes() == 0 ? Long.MAX_VALUE : block.lengthBytes();
        blocks.add(block);
        blockNames.add(Names.toWire(block.name()));
    }

    private int listEntry(ByteBuffer in, int p, int limit) throws ProtocolException {
        if (limit - p < 1) {
            return ~1;
        }
        int nameLength = Byte.toUnsignedInt(in.get(p));
        int fixed = 1 + nameLength + Long.BYTES;
        boolean mayHavePageSize = BlockListEntry.mayHavePageSizes(hostPageSizes);
        int need = fixed + (mayHavePageSize ? Long.BYTES : 0);
        if (limit - p < need) {
            return ~need;
        }
        byte[] name = new byte[nameLength];
        in.get(p + 1, name);
        long length = in.getLong(p + 1 + nameLength);
        if (nameLength == 0 || length <= 0 || length > listLeft || (length & (pageSize - 1)) != 0) {
            throw new ProtocolException(
                    "ram.blocks",
                    base + p,
                    "a name and a multiple of %d up to the remaining 0x%x".formatted(pageSize, listLeft),
                    "'%s', 0x%x".formatted(Names.fromWire(name), length));
        }
        long word = mayHavePageSize ? in.getLong(p + fixed) : 0;
        boolean hasPageSize = BlockListEntry.isPageSize(word, hostPageSizes);
        int consumed = fixed + (hasPageSize ? Long.BYTES : 0);
        if (addresses) {
            consumed += Long.BYTES;
            if (limit - p < consumed) {
                return ~consumed;
            }
        }
        add(new RamBlockSeen(Names.fromWire(name), length, hasPageSize ? word : 0));
        listLeft -= length;
        recordBytes += consumed;
        return consumed;
    }

    List<RamBlockSeen> blocks() {
        return List.copyOf(blocks);
    }

    PageCounts pages() {
        return new PageCounts(fullPages, zeroPages, deltaPages, compressedPages);
    }

    long deltaBytes() {
        return deltaBytes;
    }

    long endMarks() {
        return endMarks;
    }

    long multifdFlushes() {
        return multifdFlushes;
    }

    /** Bytes of all records, payload included. A record counts when its header has passed. */
    long recordBytes() {
        return recordBytes;
    }
}
