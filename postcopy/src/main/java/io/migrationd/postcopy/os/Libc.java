package io.migrationd.postcopy.os;

import static io.migrationd.postcopy.os.NativeFunction.WORD;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.file.Path;
import java.util.Objects;

/**
 * Files, memory and processes: one method per call of the C library, named after it. All offsets, lengths and sizes are
 * bytes. Interrupted calls are made again, short transfers are continued. A segment given to a call must stay alive
 * until it returns.
 */
@SuppressWarnings("restricted") // Only in this package: everywhere else the compiler keeps native access out for us.
public final class Libc {
    public static final int O_RDONLY = 0;
    public static final int O_RDWR = 2;
    public static final int O_CREAT = 0x40;
    public static final int O_EXCL = 0x80;
    public static final int O_NONBLOCK = 0x800;
    public static final int O_CLOEXEC = 0x80000;

    public static final int MFD_CLOEXEC = 1;
    public static final int MFD_ALLOW_SEALING = 2;
    public static final int MFD_HUGETLB = 4;
    public static final int MFD_HUGE_2MB = 21 << 26;

    public static final int PROT_NONE = 0;
    public static final int PROT_READ = 1;
    public static final int PROT_WRITE = 2;
    public static final int MAP_SHARED = 1;
    public static final int MAP_PRIVATE = 2;
    public static final int MAP_ANONYMOUS = 0x20;

    public static final int MADV_DONTNEED = 4;
    public static final int MADV_REMOVE = 9;
    public static final int MADV_HUGEPAGE = 14;
    public static final int MADV_NOHUGEPAGE = 15;
    public static final int MADV_DONTDUMP = 16;

    public static final int FALLOC_FL_KEEP_SIZE = 1;
    public static final int FALLOC_FL_PUNCH_HOLE = 2;

    public static final int SEEK_DATA = 3;
    public static final int SEEK_HOLE = 4;

    public static final int F_SEAL_SEAL = 1;
    public static final int F_SEAL_SHRINK = 2;
    public static final int F_SEAL_GROW = 4;

    private static final int F_GETFD = 1;
    private static final int F_SETFD = 2;
    private static final int F_DUPFD_CLOEXEC = 1030;
    private static final int F_ADD_SEALS = 1033;
    private static final int F_GET_SEALS = 1034;
    private static final int FD_CLOEXEC = 1;

    private static final int AT_EMPTY_PATH = 0x1000;
    private static final int STATX_TYPE_MODE_SIZE = 0x1 | 0x2 | 0x200;
    private static final long STATX_MODE = 0x1C;
    private static final long STATX_SIZE = 0x28;
    private static final long STATFS_TYPE = 0;
    private static final long STATFS_BSIZE = 8;
    private static final int SYS_PIDFD_OPEN = 434;
    private static final int SYS_USERFAULTFD = syscallNumberOfUserfaultfd();

    private static final NativeFunction CLOSE = NativeFunction.of("close", JAVA_INT, JAVA_INT);
    private static final NativeFunction FALLOCATE =
            NativeFunction.of("fallocate", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);
    private static final NativeFunction FCNTL =
            NativeFunction.variadic("fcntl", 2, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final NativeFunction FDATASYNC = NativeFunction.of("fdatasync", JAVA_INT, JAVA_INT);
    private static final NativeFunction FSTATFS = NativeFunction.of("fstatfs", JAVA_INT, JAVA_INT, WORD);
    private static final NativeFunction FSYNC = NativeFunction.of("fsync", JAVA_INT, JAVA_INT);
    private static final NativeFunction FTRUNCATE = NativeFunction.of("ftruncate", JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final NativeFunction LSEEK = NativeFunction.of("lseek", JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT);
    private static final NativeFunction MADVISE = NativeFunction.of("madvise", JAVA_INT, WORD, WORD, JAVA_INT);
    private static final NativeFunction MEMFD_CREATE = NativeFunction.of("memfd_create", JAVA_INT, WORD, JAVA_INT);
    private static final NativeFunction MMAP =
            NativeFunction.of("mmap", JAVA_LONG, WORD, WORD, JAVA_INT, JAVA_INT, JAVA_INT, JAVA_LONG);
    private static final NativeFunction MUNMAP = NativeFunction.of("munmap", JAVA_INT, WORD, WORD);
    private static final NativeFunction OPEN = NativeFunction.variadic("open", 2, JAVA_INT, WORD, JAVA_INT, JAVA_INT);
    private static final NativeFunction PREAD = NativeFunction.of("pread", JAVA_LONG, JAVA_INT, WORD, WORD, JAVA_LONG);
    private static final NativeFunction PREADV =
            NativeFunction.of("preadv", JAVA_LONG, JAVA_INT, WORD, JAVA_INT, JAVA_LONG);
    private static final NativeFunction PROCESS_VM_WRITEV =
            NativeFunction.of("process_vm_writev", JAVA_LONG, JAVA_INT, WORD, WORD, WORD, WORD, WORD);
    private static final NativeFunction PWRITE =
            NativeFunction.of("pwrite", JAVA_LONG, JAVA_INT, WORD, WORD, JAVA_LONG);
    private static final NativeFunction PWRITEV =
            NativeFunction.of("pwritev", JAVA_LONG, JAVA_INT, WORD, JAVA_INT, JAVA_LONG);
    private static final NativeFunction READ = NativeFunction.of("read", JAVA_LONG, JAVA_INT, WORD, WORD);
    private static final NativeFunction STATX =
            NativeFunction.of("statx", JAVA_INT, JAVA_INT, WORD, JAVA_INT, JAVA_INT, WORD);
    private static final NativeFunction SYSCALL =
            NativeFunction.variadic("syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);
    private static final NativeFunction WRITE = NativeFunction.of("write", JAVA_LONG, JAVA_INT, WORD, WORD);

    private Libc() {}

    /** open(2), without a mode: the file exists. The caller owns the returned descriptor. */
    public static int open(Path path, int flags) throws ErrnoException {
        return open(path, flags, 0);
    }

    /**
     * open(2); a file that {@link #O_CREAT} makes has the permission bits {@code mode}. The caller owns the descriptor.
     */
    public static int open(Path path, int flags, int mode) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            long result = OPEN.call(arena.allocateFrom(path.toString()).address(), flags, mode);
            return (int) checked("open", result, "path=" + path);
        }
    }

    /**
     * close(2). The number is free afterwards, also when the kernel reports an error of an earlier write: whoever needs
     * that error calls {@link #fsync} first.
     */
    public static void close(int fd) {
        long result = CLOSE.callOnce(fd, 0, 0, 0, 0, 0);
        if (result == -Errno.EBADF) {
            throw new IllegalStateException("descriptor " + fd + " was closed twice");
        }
    }

    /** memfd_create(2). The caller owns the returned descriptor. */
    public static int memfdCreate(String name, int flags) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            long result = MEMFD_CREATE.call(arena.allocateFrom(name).address(), flags);
            return (int) checked("memfd_create", result, "name=" + name);
        }
    }

    /** ftruncate(2): sets the length; what is added is a hole. */
    public static void ftruncate(int fd, long lengthBytes) throws ErrnoException {
        long result = FTRUNCATE.call(fd, lengthBytes);
        checked("ftruncate", result, "fd=" + fd + " length=" + lengthBytes);
    }

    /** fallocate(2): mode 0 reserves the range, {@link #FALLOC_FL_PUNCH_HOLE} with KEEP_SIZE frees it. */
    public static void fallocate(int fd, int mode, long offset, long lengthBytes) throws ErrnoException {
        long result = FALLOCATE.call(fd, mode, offset, lengthBytes);
        if (result < 0) {
            throw failure("fallocate", result, "fd=" + fd + " mode=" + mode + " " + range(offset, lengthBytes));
        }
    }

    /**
     * lseek(2) with {@link #SEEK_DATA} or {@link #SEEK_HOLE}: the first such offset at or behind {@code offset}, or -1
     * (ENXIO) when there is none up to the end of the file.
     */
    public static long lseek(int fd, long offset, int whence) throws ErrnoException {
        long result = LSEEK.call(fd, offset, whence);
        if (result == -Errno.ENXIO) {
            return -1;
        }
        if (result < 0) {
            throw failure("lseek", result, "fd=" + fd + " offset=" + offset + " whence=" + whence);
        }
        return result;
    }

    /** fsync(2): data and metadata are on the disk. */
    public static void fsync(int fd) throws ErrnoException {
        checked("fsync", FSYNC.call(fd), "fd=" + fd);
    }

    /** fdatasync(2): data, and the metadata needed to read it, are on the disk. */
    public static void fdatasync(int fd) throws ErrnoException {
        checked("fdatasync", FDATASYNC.call(fd), "fd=" + fd);
    }

    /** fstat(2), by statx(2) and fstatfs(2), whose layouts are the same on all 64-bit machines. */
    public static FileStatus fstat(int fd) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(CallMemory.ARGUMENT_BYTES, Long.BYTES);
            MemorySegment emptyPath = arena.allocateFrom("");
            long result = STATX.call(fd, emptyPath.address(), AT_EMPTY_PATH, STATX_TYPE_MODE_SIZE, out.address(), 0);
            checked("statx", result, "fd=" + fd);
            int mode = Short.toUnsignedInt(out.get(JAVA_SHORT, STATX_MODE));
            long size = out.get(JAVA_LONG, STATX_SIZE);
            checked("fstatfs", FSTATFS.call(fd, out.address()), "fd=" + fd);
            return new FileStatus(mode, size, out.get(JAVA_LONG, STATFS_TYPE), out.get(JAVA_LONG, STATFS_BSIZE));
        }
    }

    /**
     * pread(2) until {@code lengthBytes} are at {@code bufferOffset} of the buffer; less only at the end of the file.
     */
    public static long pread(int fd, MemorySegment buffer, long bufferOffset, long lengthBytes, long offset)
            throws ErrnoException {
        long hostVirtual = address(buffer, bufferOffset, lengthBytes);
        long done = 0;
        try {
            while (done < lengthBytes) {
                long result = PREAD.call(fd, hostVirtual + done, lengthBytes - done, offset + done);
                if (result < 0) {
                    throw failure("pread", result, "fd=" + fd + " " + range(offset + done, lengthBytes - done));
                }
                if (result == 0) {
                    break;
                }
                done += result;
            }
        } finally {
            Reference.reachabilityFence(buffer);
        }
        return done;
    }

    /** pwrite(2) until all of it is written. */
    public static void pwrite(int fd, MemorySegment buffer, long bufferOffset, long lengthBytes, long offset)
            throws ErrnoException {
        long hostVirtual = address(buffer, bufferOffset, lengthBytes);
        long done = 0;
        try {
            while (done < lengthBytes) {
                long result = PWRITE.call(fd, hostVirtual + done, lengthBytes - done, offset + done);
                if (result <= 0) {
                    throw failure("pwrite", result, "fd=" + fd + " " + range(offset + done, lengthBytes - done));
                }
                done += result;
            }
        } finally {
            Reference.reachabilityFence(buffer);
        }
    }

    /**
     * preadv(2) until every piece is full; returns the bytes read, less only at the end of the file. Uses up the
     * vector.
     */
    public static long preadv(int fd, IoVector pieces, long offset) throws ErrnoException {
        long done = 0;
        try {
            while (!pieces.isDone()) {
                long result = PREADV.call(fd, pieces.hostVirtual(), pieces.pieces(), offset + done);
                if (result < 0) {
                    throw failure("preadv", result, "fd=" + fd + " offset=" + (offset + done) + " " + pieces);
                }
                if (result == 0) {
                    break;
                }
                pieces.advance(result);
                done += result;
            }
        } finally {
            Reference.reachabilityFence(pieces.buffer());
        }
        return done;
    }

    /** pwritev(2) until every piece is written. Uses up the vector. */
    public static void pwritev(int fd, IoVector pieces, long offset) throws ErrnoException {
        long done = 0;
        try {
            while (!pieces.isDone()) {
                long result = PWRITEV.call(fd, pieces.hostVirtual(), pieces.pieces(), offset + done);
                if (result <= 0) {
                    throw failure("pwritev", result, "fd=" + fd + " offset=" + (offset + done) + " " + pieces);
                }
                pieces.advance(result);
                done += result;
            }
        } finally {
            Reference.reachabilityFence(pieces.buffer());
        }
    }

    /** read(2) once: how many bytes came, -1 when nothing is there (EAGAIN), 0 at the end of the file. */
    static long readIfReady(int fd, MemorySegment buffer) throws ErrnoException {
        long result = READ.call(fd, buffer.address(), buffer.byteSize());
        if (result == -Errno.EAGAIN) {
            return -1;
        }
        if (result < 0) {
            throw failure("read", result, "fd=" + fd);
        }
        return result;
    }

    /** write(2) once; false when there is no room (EAGAIN). */
    static boolean writeIfReady(int fd, MemorySegment buffer) throws ErrnoException {
        long result = WRITE.call(fd, buffer.address(), buffer.byteSize());
        if (result < 0 && result != -Errno.EAGAIN) {
            throw failure("write", result, "fd=" + fd);
        }
        return result >= 0;
    }

    /**
     * mmap(2) of a file. The mapping ends when {@code arena} is closed; the descriptor stays the caller's and may be
     * closed before.
     */
    public static MemorySegment mmap(int fd, long offset, long lengthBytes, int protection, int flags, Arena arena)
            throws ErrnoException {
        long result = MMAP.call(0, lengthBytes, protection, flags, fd, offset);
        if (result < 0) {
            throw failure("mmap", result, "fd=" + fd + " " + range(offset, lengthBytes));
        }
        return MemorySegment.ofAddress(result).reinterpret(lengthBytes, arena, Libc::munmap);
    }

    private static void munmap(MemorySegment mapping) {
        long result = MUNMAP.call(mapping.address(), mapping.byteSize());
        if (result < 0) {
            throw new IllegalStateException("munmap: " + Errno.describe((int) -result));
        }
    }

    /** madvise(2) for the whole segment, which is a mapping or a part of one. */
    public static void madvise(MemorySegment mapping, int advice) throws ErrnoException {
        long result = MADVISE.call(mapping.address(), mapping.byteSize(), advice);
        checked("madvise", result, "length=" + mapping.byteSize() + " advice=" + advice);
    }

    /**
     * process_vm_writev(2): copies the pieces, in order, to {@code remoteHostVirtual} of process {@code pid}, until all
     * are there. The kernel does the copying: an address that cannot be written is an error and not a signal.
     */
    public static void processVmWritev(long pid, IoVector pieces, long remoteHostVirtual) throws ErrnoException {
        MemorySegment remote = CallMemory.ofThisThread().argument();
        long done = 0;
        try {
            while (!pieces.isDone()) {
                remote.set(JAVA_LONG, 0, remoteHostVirtual + done);
                remote.set(JAVA_LONG, Long.BYTES, pieces.lengthBytes());
                long result =
                        PROCESS_VM_WRITEV.call(pid, pieces.hostVirtual(), pieces.pieces(), remote.address(), 1, 0);
                if (result <= 0) {
                    throw failure("process_vm_writev", result, "pid=" + pid + " " + pieces);
                }
                pieces.advance(result);
                done += result;
            }
        } finally {
            Reference.reachabilityFence(pieces.buffer());
        }
    }

    /**
     * pidfd_open(2): readable (POLLIN) when the process has ended. The caller owns the descriptor; it is close-on-exec.
     */
    public static int pidfdOpen(long pid) throws ErrnoException {
        return (int) checked("pidfd_open", SYSCALL.call(SYS_PIDFD_OPEN, pid, 0), "pid=" + pid);
    }

    /** userfaultfd(2), which has no C wrapper. The caller owns the descriptor. */
    static int userfaultfd(int flags) throws ErrnoException {
        return (int) checked("userfaultfd", SYSCALL.call(SYS_USERFAULTFD, flags, 0), "flags=" + flags);
    }

    /** dup(2), close-on-exec (fcntl F_DUPFD_CLOEXEC). The caller owns the new descriptor. */
    public static int dup(int fd) throws ErrnoException {
        return (int) checked("fcntl", FCNTL.call(fd, F_DUPFD_CLOEXEC, 0), "F_DUPFD_CLOEXEC fd=" + fd);
    }

    /** fcntl(2) F_SETFD: whether the descriptor is closed in a program that this process starts. */
    public static void setCloseOnExec(int fd, boolean closeOnExec) throws ErrnoException {
        long result = FCNTL.call(fd, F_SETFD, closeOnExec ? FD_CLOEXEC : 0);
        checked("fcntl", result, "F_SETFD fd=" + fd);
    }

    /** fcntl(2) F_GETFD. */
    public static boolean isCloseOnExec(int fd) throws ErrnoException {
        return (checked("fcntl", FCNTL.call(fd, F_GETFD, 0), "F_GETFD fd=" + fd) & FD_CLOEXEC) != 0;
    }

    /** fcntl(2) F_ADD_SEALS: nobody can do to this memfd what the seals say, ever again. */
    public static void addSeals(int fd, int seals) throws ErrnoException {
        checked("fcntl", FCNTL.call(fd, F_ADD_SEALS, seals), "F_ADD_SEALS fd=" + fd + " seals=" + seals);
    }

    /** fcntl(2) F_GET_SEALS; EINVAL when the file can have none. */
    public static int seals(int fd) throws ErrnoException {
        return (int) checked("fcntl", FCNTL.call(fd, F_GET_SEALS, 0), "F_GET_SEALS fd=" + fd);
    }

    /** The address of a range of a native segment, after a check that the range lies in it. */
    static long address(MemorySegment buffer, long offset, long lengthBytes) {
        Objects.checkFromIndexSize(offset, lengthBytes, buffer.byteSize());
        if (!buffer.isNative()) {
            throw new IllegalArgumentException("the kernel cannot reach a segment on the Java heap");
        }
        return buffer.address() + offset;
    }

    static ErrnoException failure(String call, long result, String arguments) {
        // A write that moves nothing and reports nothing is a device that does not work.
        return new ErrnoException(call, result == 0 ? Errno.EIO : (int) -result, arguments);
    }

    private static long checked(String call, long result, String arguments) throws ErrnoException {
        if (result < 0) {
            throw failure(call, result, arguments);
        }
        return result;
    }

    private static String range(long offset, long lengthBytes) {
        return "offset=" + offset + " length=" + lengthBytes;
    }

    private static int syscallNumberOfUserfaultfd() {
        String machine = System.getProperty("os.arch");
        return switch (machine) {
            case "amd64" -> 323;
            case "aarch64" -> 282;
            default -> throw new UnsupportedOperationException("no system call numbers for " + machine);
        };
    }
}
