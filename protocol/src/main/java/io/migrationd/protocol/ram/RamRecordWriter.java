package io.migrationd.protocol.ram;

import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.WireWriter;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Writes records of the {@code ram} section into a buffer and keeps the CONTINUE state of its channel: the first page
 * of a block carries its name, the following ones do not. Allocates nothing per page.
 */
public final class RamRecordWriter {
    /** The most bytes that a header takes: word, length of the name, name. */
    public static final int MAX_HEADER_BYTES = Long.BYTES + 1 + Names.MAX_LENGTH;

    private static final ValueLayout.OfLong BE64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);
    private static final ValueLayout.OfShort BE16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.BIG_ENDIAN);

    private @Nullable BlockName lastBlock;

    /** A block's name in wire form, made once per block. */
    public static final class BlockName {
        private final byte[] bytes;

        /** {@code name} has 1 to 255 bytes. */
        public BlockName(String name) {
            bytes = Names.toWire(name);
        }
    }

    /** How many bytes the next header of {@code block} takes. */
    public int headerBytes(BlockName block) {
        return isLast(block) ? Long.BYTES : Long.BYTES + 1 + block.bytes.length;
    }

    /** Writes a header of {@link #headerBytes}; returns the position behind it. */
    public long header(MemorySegment out, long position, BlockName block, long address, int flag) {
        if (isLast(block)) {
            out.set(BE64, position, address | flag | RamFlags.CONTINUE);
            return position + Long.BYTES;
        }
        out.set(BE64, position, address | flag);
        out.set(ValueLayout.JAVA_BYTE, position + Long.BYTES, (byte) block.bytes.length);
        MemorySegment.copy(block.bytes, 0, out, ValueLayout.JAVA_BYTE, position + Long.BYTES + 1, block.bytes.length);
        lastBlock = block;
        return position + Long.BYTES + 1 + block.bytes.length;
    }

    /** Writes a zero page; returns the position behind it. */
    public long zeroPage(MemorySegment out, long position, BlockName block, long address) {
        long at = header(out, position, block, address, RamFlags.ZERO);
        out.set(ValueLayout.JAVA_BYTE, at, (byte) 0);
        return at + 1;
    }

    /** Writes what stands before a delta: header, mark, length; returns the position behind it. */
    public long deltaPrefix(MemorySegment out, long position, BlockName block, long address, int deltaBytes) {
        long at = header(out, position, block, address, RamFlags.XBZRLE);
        out.set(ValueLayout.JAVA_BYTE, at, (byte) 1);
        out.set(BE16, at + 1, (short) deltaBytes);
        return at + 3;
    }

    /** Writes the end mark of a body; returns the position behind it. */
    public static long endOfSection(MemorySegment out, long position) {
        out.set(BE64, position, RamFlags.EOS);
        return position + Long.BYTES;
    }

    /** The block list and the end mark: the body of the section's START. Page sizes of 0 are not written. */
    public static void blockList(List<BlockListEntry> blocks, WireWriter out) {
        long total = blocks.stream().mapToLong(BlockListEntry::lengthBytes).sum();
        out.writeLong(total | RamFlags.MEM_SIZE);
        for (BlockListEntry block : blocks) {
            out.writeName(block.name()).writeLong(block.lengthBytes());
            if (block.pageSizeBytes() != 0) {
                out.writeLong(block.pageSizeBytes());
            }
        }
        out.writeLong(RamFlags.EOS);
    }

    // Identity is meant: one BlockName object stands for one block.
    @SuppressWarnings("ReferenceEquality")
    private boolean isLast(BlockName block) {
        return block == lastBlock;
    }
}
