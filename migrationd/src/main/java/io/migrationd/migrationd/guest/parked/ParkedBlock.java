package io.migrationd.migrationd.guest.parked;

import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * A block of a parked guest: a file, with the page size that the block had where it came from. The file could do with
 * smaller pages, but both ends of a postcopy migration must ask for and place the same ones.
 */
final class ParkedBlock implements RamBlock, AutoCloseable {
    static final int BASE_PAGE_BYTES = 4096;
    private static final int MAX_PAGE_BYTES = 1 << 30;

    private final FdRamBlock file;
    private final int pageSizeBytes;

    private ParkedBlock(FdRamBlock file, int pageSizeBytes) {
        this.file = file;
        this.pageSizeBytes = pageSizeBytes;
    }

    /**
     * A new file, all hole.
     *
     * @param pageSizeBytes as announced, or 0 for the base page size
     * @param offset of the announcement in the stream
     */
    static ParkedBlock create(Path file, String name, long lengthBytes, int pageSizeBytes, long offset)
            throws ProtocolException, ErrnoException {
        int pageBytes = pageSizeBytes == 0 ? BASE_PAGE_BYTES : pageSizeBytes;
        if (Integer.bitCount(pageBytes) != 1 || pageBytes < BASE_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES) {
            throw new ProtocolException("ram.blocks.page-size", offset, "a power of two from 4096 to 2^30", pageBytes);
        }
        if (lengthBytes % pageBytes != 0) {
            throw new ProtocolException(
                    "ram.blocks.length",
                    offset,
                    "whole pages of %d bytes".formatted(pageBytes),
                    "%d bytes for '%s'".formatted(lengthBytes, name));
        }
        return new ParkedBlock(FdRamBlock.createFile(name, file, lengthBytes), pageBytes);
    }

    /** A file that exists and is what was recorded. */
    static ParkedBlock open(Path directory, ParkedRecord.Block recorded, String guest) throws IOException {
        FdRamBlock file = FdRamBlock.openFile(recorded.name(), directory.resolve(recorded.file()));
        if (file.lengthBytes() != recorded.lengthBytes()) {
            file.close();
            throw new IOException("block '%s' of parked guest '%s' has %d bytes, %d were recorded"
                    .formatted(recorded.name(), guest, file.lengthBytes(), recorded.lengthBytes()));
        }
        Integer pageSizeBytes = recorded.pageSizeBytes();
        return new ParkedBlock(file, pageSizeBytes == null ? BASE_PAGE_BYTES : pageSizeBytes);
    }

    /** How it is recorded. */
    ParkedRecord.Block toRecord() {
        return new ParkedRecord.Block(name(), ParkedGuest.fileName(name()), lengthBytes(), pageSizeBytes);
    }

    /** Puts on the disk what was written. */
    void sync() throws ErrnoException {
        file.sync();
    }

    @Override
    public String name() {
        return file.name();
    }

    @Override
    public long lengthBytes() {
        return file.lengthBytes();
    }

    @Override
    public int pageSizeBytes() {
        return pageSizeBytes;
    }

    @Override
    public void readPages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException {
        file.readPages(offset, pageCount, pageBytes, buffer, bufferOffset, strideBytes);
    }

    @Override
    public void writePages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException {
        file.writePages(offset, pageCount, pageBytes, buffer, bufferOffset, strideBytes);
    }

    @Override
    public void punchHole(long offset, long lengthBytes) throws ErrnoException {
        file.punchHole(offset, lengthBytes);
    }

    @Override
    public long nextData(long offset) throws ErrnoException {
        return file.nextData(offset);
    }

    @Override
    public long nextHole(long offset) throws ErrnoException {
        return file.nextHole(offset);
    }

    @Override
    public boolean knowsItsPages() throws ErrnoException {
        return file.knowsItsPages();
    }

    @Override
    public void close() {
        file.close();
    }
}
