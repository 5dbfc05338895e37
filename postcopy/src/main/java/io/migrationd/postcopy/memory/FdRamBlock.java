package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.FileStatus;
import io.migrationd.postcopy.os.IoVector;
import io.migrationd.postcopy.os.Libc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Objects;

/**
 * A block in a memfd or a regular file, from a base offset on; owner of the descriptor. Its length is a multiple of its
 * page size, and stays what it was when the block was made.
 */
public final class FdRamBlock implements RamBlock, AutoCloseable {
    private static final int SMALL_PAGE_BYTES = 4096;
    private static final int HUGE_PAGE_BYTES = 2 << 20;
    private static final int OWNER_ONLY = 0600;
    private static final int LABEL_CHARACTERS = 80;
    private static final ThreadLocal<IoVector> PIECES = ThreadLocal.withInitial(IoVector::new);

    private final String name;
    private final Descriptor descriptor;
    private final long baseOffset;
    private final long lengthBytes;
    private final int pageSizeBytes;
    private final boolean hugePages;

    private FdRamBlock(
            String name, Descriptor descriptor, long baseOffset, long lengthBytes, int pageSizeBytes, boolean huge) {
        this.name = name;
        this.descriptor = descriptor;
        this.baseOffset = baseOffset;
        this.lengthBytes = lengthBytes;
        this.pageSizeBytes = pageSizeBytes;
        this.hugePages = huge;
    }

    /** A new memfd of 4 KiB pages, all hole, whose length nobody can change any more. */
    public static FdRamBlock createMemory(String name, long lengthBytes) throws ErrnoException {
        return createMemory(name, lengthBytes, SMALL_PAGE_BYTES, 0);
    }

    /**
     * A new memfd of 2 MiB pages, which come from the pool of the host (vm.nr_hugepages) when they are written: ENOMEM
     * from {@link #writePages} when it is empty.
     */
    public static FdRamBlock createHugeMemory(String name, long lengthBytes) throws ErrnoException {
        return createMemory(name, lengthBytes, HUGE_PAGE_BYTES, Libc.MFD_HUGETLB | Libc.MFD_HUGE_2MB);
    }

    private static FdRamBlock createMemory(String name, long lengthBytes, int pageSizeBytes, int flags)
            throws ErrnoException {
        requireWholePages(name, lengthBytes, pageSizeBytes);
        Descriptor descriptor =
                new Descriptor(Libc.memfdCreate(label(name), Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING | flags));
        try {
            Libc.ftruncate(descriptor.number(), lengthBytes);
            Libc.addSeals(descriptor.number(), Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL);
            return new FdRamBlock(name, descriptor, 0, lengthBytes, pageSizeBytes, flags != 0);
        } catch (ErrnoException | RuntimeException e) {
            descriptor.close();
            throw e;
        }
    }

    /** A new regular file, readable by its owner only, all hole. EEXIST when there is one of that name. */
    public static FdRamBlock createFile(String name, Path file, long lengthBytes) throws ErrnoException {
        requireWholePages(name, lengthBytes, SMALL_PAGE_BYTES);
        int flags = Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_CLOEXEC;
        Descriptor descriptor = new Descriptor(Libc.open(file, flags, OWNER_ONLY));
        try {
            Libc.ftruncate(descriptor.number(), lengthBytes);
            return new FdRamBlock(name, descriptor, 0, lengthBytes, SMALL_PAGE_BYTES, false);
        } catch (ErrnoException | RuntimeException e) {
            descriptor.close();
            throw e;
        }
    }

    /** A file that exists, in its whole length. */
    public static FdRamBlock openFile(String name, Path file) throws ErrnoException {
        Descriptor descriptor = new Descriptor(Libc.open(file, Libc.O_RDWR | Libc.O_CLOEXEC));
        long lengthBytes;
        try {
            lengthBytes = Libc.fstat(descriptor.number()).sizeBytes();
        } catch (ErrnoException e) {
            descriptor.close();
            throw e;
        }
        return adopt(name, descriptor, 0, lengthBytes);
    }

    /**
     * A descriptor that came from another process. It is ours from the call on, and closed if it is refused: it must be
     * a memfd or a regular file, and reach to the end of the block.
     */
    public static FdRamBlock adopt(String name, Descriptor received, long baseOffset, long lengthBytes)
            throws ErrnoException {
        try {
            FileStatus status = Libc.fstat(received.number());
            if (!status.isRegular()) {
                throw refusal(name, "is neither a memfd nor a regular file");
            }
            int pageSizeBytes = status.isHugePages() ? Math.toIntExact(status.blockBytes()) : SMALL_PAGE_BYTES;
            requireWholePages(name, lengthBytes, pageSizeBytes);
            if (baseOffset < 0 || baseOffset % pageSizeBytes != 0 || baseOffset > status.sizeBytes() - lengthBytes) {
                throw refusal(
                        name, "has %d bytes at %d, its file %d".formatted(lengthBytes, baseOffset, status.sizeBytes()));
            }
            Libc.setCloseOnExec(received.number(), true);
            return new FdRamBlock(name, received, baseOffset, lengthBytes, pageSizeBytes, status.isHugePages());
        } catch (ErrnoException | RuntimeException e) {
            received.close();
            throw e;
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public long lengthBytes() {
        return lengthBytes;
    }

    @Override
    public int pageSizeBytes() {
        return pageSizeBytes;
    }

    /** The descriptor, to be passed to another process or mapped; it stays ours. */
    public int fd() {
        return descriptor.number();
    }

    /** Where in the file the block begins. */
    public long baseOffset() {
        return baseOffset;
    }

    @Override
    public void readPages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException {
        checkPages(offset, pageCount, pageBytes, buffer, bufferOffset, strideBytes);
        IoVector pieces = PIECES.get();
        for (int done = 0; done < pageCount; done += IoVector.MAX_PIECES) {
            int count = Math.min(IoVector.MAX_PIECES, pageCount - done);
            long from = offset + (long) done * pageBytes;
            pieces.setStrided(buffer, bufferOffset + done * strideBytes, count, pageBytes, strideBytes);
            long bytes = Libc.preadv(fd(), pieces, baseOffset + from);
            if (bytes != (long) count * pageBytes) {
                throw new ErrnoException("preadv", Errno.EIO, "block=" + name + " ends early, at " + (from + bytes));
            }
        }
    }

    @Override
    public void writePages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes)
            throws ErrnoException {
        checkPages(offset, pageCount, pageBytes, buffer, bufferOffset, strideBytes);
        IoVector pieces = PIECES.get();
        for (int done = 0; done < pageCount; done += IoVector.MAX_PIECES) {
            int count = Math.min(IoVector.MAX_PIECES, pageCount - done);
            long to = offset + (long) done * pageBytes;
            pieces.setStrided(buffer, bufferOffset + done * strideBytes, count, pageBytes, strideBytes);
            if (hugePages) {
                writeHugePages(pieces, to, (long) count * pageBytes);
            } else {
                Libc.pwritev(fd(), pieces, baseOffset + to);
            }
        }
    }

    /**
     * A hugetlbfs has no write(2), so the range is mapped for the moment; the mapping reserves its pages, and fails
     * with ENOMEM where touching them would be a signal. The kernel copies, so that no Java code touches guest memory.
     */
    private void writeHugePages(IoVector pieces, long offset, long length) throws ErrnoException {
        long first = Math.floorDiv(baseOffset + offset, pageSizeBytes) * pageSizeBytes;
        long end = Math.ceilDiv(baseOffset + offset + length, pageSizeBytes) * pageSizeBytes;
        int protection = Libc.PROT_READ | Libc.PROT_WRITE;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment window = Libc.mmap(fd(), first, end - first, protection, Libc.MAP_SHARED, arena);
            Libc.processVmWritev(
                    ProcessHandle.current().pid(), pieces, window.address() + (baseOffset + offset - first));
        }
    }

    @Override
    public void punchHole(long offset, long length) throws ErrnoException {
        Objects.checkFromIndexSize(offset, length, lengthBytes);
        int mode = Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE;
        Libc.fallocate(fd(), mode, baseOffset + offset, length);
    }

    /** As the interface says; a block of huge pages counts as data throughout, its file system knows no better. */
    @Override
    public long nextData(long offset) throws ErrnoException {
        return seek(offset, Libc.SEEK_DATA);
    }

    @Override
    public long nextHole(long offset) throws ErrnoException {
        return seek(offset, Libc.SEEK_HOLE);
    }

    /** True of memory and files whose file system allocates no more than a page at once; not of huge pages. */
    @Override
    public boolean knowsItsPages() throws ErrnoException {
        return !hugePages && Libc.fstat(fd()).blockBytes() <= pageSizeBytes;
    }

    private long seek(long offset, int whence) throws ErrnoException {
        Objects.checkIndex(offset, lengthBytes + 1);
        if (offset == lengthBytes) {
            return lengthBytes;
        }
        long found = Libc.lseek(fd(), baseOffset + offset, whence);
        return found < 0 ? lengthBytes : Math.min(lengthBytes, found - baseOffset);
    }

    /** Puts on the disk what was written; at once for memory. */
    public void sync() throws ErrnoException {
        Libc.fdatasync(fd());
    }

    @Override
    public void close() {
        descriptor.close();
    }

    private void checkPages(
            long offset, int pageCount, int pageBytes, MemorySegment buffer, long bufferOffset, long strideBytes) {
        if (pageCount < 0 || pageBytes < 1 || strideBytes < pageBytes) {
            throw new IllegalArgumentException(pageCount + " pages of " + pageBytes + " bytes, stride " + strideBytes);
        }
        Objects.checkFromIndexSize(offset, (long) pageCount * pageBytes, lengthBytes);
        Objects.checkFromIndexSize(
                bufferOffset,
                Math.multiplyExact(pageCount, strideBytes),
                Math.addExact(buffer.byteSize(), strideBytes - pageBytes));
    }

    private static void requireWholePages(String name, long lengthBytes, int pageSizeBytes) throws ErrnoException {
        if (lengthBytes < pageSizeBytes || lengthBytes % pageSizeBytes != 0) {
            throw refusal(
                    name, "has %d bytes, which is not a number of pages of %d".formatted(lengthBytes, pageSizeBytes));
        }
    }

    private static ErrnoException refusal(String name, String why) {
        return new ErrnoException("block", Errno.EINVAL, name + " " + why);
    }

    /** The kernel takes 249 bytes of name; it is only for people who look at /proc. */
    private static String label(String name) {
        return name.substring(0, Math.min(name.length(), LABEL_CHARACTERS));
    }
}
