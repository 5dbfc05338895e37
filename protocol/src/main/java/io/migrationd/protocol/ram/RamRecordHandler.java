package io.migrationd.protocol.ram;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * Takes what {@link RamSectionDecoder} finds. {@code B} is whatever stands for a block at the reader.
 *
 * @param <B> a block that the handler has resolved
 */
public interface RamRecordHandler<B> {
    /** The MEM_SIZE record: every block of the source. {@code offset} is that of the record. */
    void blockList(List<BlockListEntry> blocks, long offset) throws IOException;

    /** The block of that name. An unknown one is the handler's {@code ProtocolException} at {@code offset}. */
    B block(String name, long offset) throws IOException;

    /** Length in bytes; pages outside are refused by the decoder. */
    long lengthBytes(B block);

    /** The page at {@code address} (bytes within the block) is all zeroes. */
    void zeroPage(B block, long address) throws IOException;

    /**
     * {@code count} whole pages that follow each other in the block from {@code address} on. Page i is at
     * {@code position + i * stride} of {@code bytes}, which is valid during the call only.
     */
    void fullPages(B block, long address, int count, ByteBuffer bytes, int position, int stride) throws IOException;

    /** A delta for the page at {@code address}; {@code offset} is where the delta starts in the stream. */
    void deltaPage(B block, long address, ByteBuffer delta, long offset) throws IOException;
}
