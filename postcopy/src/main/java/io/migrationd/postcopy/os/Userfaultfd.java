package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * userfaultfd(2): owner of one descriptor, and its ioctls (linux/userfaultfd.h). Addresses are those of the process
 * whose memory is registered, which need not be ours; an address of ours is given as a segment. Descriptors are
 * close-on-exec and non-blocking. ESRCH says that the process has ended. Any thread may call, until the owner closes;
 * nothing is allocated per call.
 */
public final class Userfaultfd implements AutoCloseable {
    public static final long FEATURE_PAGEFAULT_FLAG_WP = 1;
    public static final long FEATURE_EVENT_FORK = 1 << 1;
    public static final long FEATURE_EVENT_REMAP = 1 << 2;
    public static final long FEATURE_EVENT_REMOVE = 1 << 3;
    public static final long FEATURE_MISSING_HUGETLBFS = 1 << 4;
    public static final long FEATURE_MISSING_SHMEM = 1 << 5;
    public static final long FEATURE_EVENT_UNMAP = 1 << 6;
    public static final long FEATURE_THREAD_ID = 1 << 8;
    public static final long FEATURE_MINOR_SHMEM = 1 << 10;
    public static final long FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
    public static final long FEATURE_WP_UNPOPULATED = 1 << 13;
    public static final long FEATURE_POISON = 1 << 14;
    public static final long FEATURE_WP_ASYNC = 1 << 15;

    public static final long REGISTER_MISSING = 1;
    public static final long REGISTER_WP = 2;
    public static final long REGISTER_MINOR = 4;

    /** Of copy, zeropage, continue and poison: the waiting threads are left asleep. */
    public static final long DONTWAKE = 1;

    /** Of copy and continue: the page is placed write-protected, which with WP_ASYNC means "not written". */
    public static final long PLACE_WP = 2;

    /** Of the answer of {@link #register}: {@link #zeropage} works in that range. */
    public static final long OFFERS_ZEROPAGE = 1 << 4;

    private static final int UFFD_USER_MODE_ONLY = 1;
    private static final String FDINFO_API = "API:\taa:";
    private static final int HEXADECIMAL = 16;
    private static final int FLAGS = Libc.O_CLOEXEC | Libc.O_NONBLOCK;
    private static final Path DEVICE = Path.of("/dev/userfaultfd");
    private static final long API = 0xAA;
    private static final long WP_PROTECT = 1;
    private static final long NO_SOURCE = 0;
    private static final long PROGRESS = 24;
    private static final long PROGRESS_WITH_SOURCE = 32;

    private final Descriptor descriptor;

    private Userfaultfd(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /**
     * {@link #openBySystemCall}, or where that is not permitted {@link #openByDevice}. Faults of the kernel, KVM's
     * among them, are served too.
     */
    public static Userfaultfd open() throws ErrnoException {
        try {
            return openBySystemCall();
        } catch (ErrnoException refusal) {
            if (refusal.errno() != Errno.EPERM) {
                throw refusal;
            }
            return openByDevice();
        }
    }

    /** userfaultfd(2): EPERM without CAP_SYS_PTRACE, unless the sysctl vm.unprivileged_userfaultfd is 1. */
    public static Userfaultfd openBySystemCall() throws ErrnoException {
        return new Userfaultfd(new Descriptor(Libc.userfaultfd(FLAGS)));
    }

    /** /dev/userfaultfd: EACCES without permission to read and write that file. */
    public static Userfaultfd openByDevice() throws ErrnoException {
        try (Descriptor device = new Descriptor(Libc.open(DEVICE, Libc.O_RDWR | Libc.O_CLOEXEC))) {
            long result = Ioctl.call(device.number(), Ioctl.USERFAULTFD_IOC_NEW, FLAGS);
            if (result < 0) {
                throw Libc.failure("USERFAULTFD_IOC_NEW", result, DEVICE.toString());
            }
            return new Userfaultfd(new Descriptor((int) result));
        }
    }

    /**
     * Needs no privilege, and serves only faults of code in user mode. Enough for asynchronous write protection, which
     * delivers no faults at all.
     */
    public static Userfaultfd openUserModeOnly() throws ErrnoException {
        return new Userfaultfd(new Descriptor(Libc.userfaultfd(FLAGS | UFFD_USER_MODE_ONLY)));
    }

    /** Takes over a descriptor that came from another process, which has done UFFDIO_API already. */
    public static Userfaultfd adopt(Descriptor received) {
        return new Userfaultfd(received);
    }

    /** For a {@link PollSet} or to be passed on; it stays ours. */
    public int fd() {
        return descriptor.number();
    }

    /**
     * UFFDIO_API, once and first. A feature that the kernel does not know is EINVAL.
     *
     * @return all features that the kernel has
     */
    public long api(long features) throws ErrnoException {
        MemorySegment argument = argument(API, features, 0, 0, 0);
        long result = call(Ioctl.UFFDIO_API, argument);
        if (result < 0) {
            throw Libc.failure("UFFDIO_API", result, "fd=%d features=%#x".formatted(fd(), features));
        }
        return argument.get(JAVA_LONG, 8);
    }

    /**
     * The features that UFFDIO_API has switched on, by whoever called it: what /proc/self/fdinfo shows
     * (fs/userfaultfd.c, userfaultfd_show_fdinfo). Bit 31 is the kernel's own.
     */
    public long features() throws IOException {
        Path information = Path.of("/proc/self/fdinfo/" + fd());
        for (String line : Files.readAllLines(information)) {
            if (line.startsWith(FDINFO_API)) {
                int end = line.indexOf(':', FDINFO_API.length());
                return Long.parseUnsignedLong(line.substring(FDINFO_API.length(), end), HEXADECIMAL);
            }
        }
        throw new IOException(information + " is not that of a userfaultfd");
    }

    /**
     * UFFDIO_REGISTER: faults of {@code mode} in the range are ours from now on. A range that is registered already
     * keeps the modes that it has: they end with {@link #unregister} only.
     *
     * @return the range ioctls that work there: bit n is the ioctl whose number ends in n
     */
    public long register(long hostVirtual, long lengthBytes, long mode) throws ErrnoException {
        MemorySegment argument = argument(hostVirtual, lengthBytes, mode, 0, 0);
        check("UFFDIO_REGISTER", call(Ioctl.UFFDIO_REGISTER, argument), hostVirtual, lengthBytes, mode);
        return argument.get(JAVA_LONG, 24);
    }

    /** UFFDIO_UNREGISTER: who waits is woken and faults as in any other memory. */
    public void unregister(long hostVirtual, long lengthBytes) throws ErrnoException {
        long result = call(Ioctl.UFFDIO_UNREGISTER, argument(hostVirtual, lengthBytes, 0, 0, 0));
        check("UFFDIO_UNREGISTER", result, hostVirtual, lengthBytes, 0);
    }

    /** UFFDIO_WAKE: who waits in the range tries again, and faults again if the page is still missing. */
    public void wake(long hostVirtual, long lengthBytes) throws ErrnoException {
        long result = call(Ioctl.UFFDIO_WAKE, argument(hostVirtual, lengthBytes, 0, 0, 0));
        check("UFFDIO_WAKE", result, hostVirtual, lengthBytes, 0);
    }

    /** UFFDIO_WRITEPROTECT of the whole range; without {@code protect} it is taken back and waiters are woken. */
    public void writeProtect(long hostVirtual, long lengthBytes, boolean protect) throws ErrnoException {
        long mode = protect ? WP_PROTECT : 0;
        long result = call(Ioctl.UFFDIO_WRITEPROTECT, argument(hostVirtual, lengthBytes, mode, 0, 0));
        check("UFFDIO_WRITEPROTECT", result, hostVirtual, lengthBytes, mode);
    }

    /**
     * UFFDIO_COPY: places {@code lengthBytes} of {@code source}, whole or not at all for each page, and wakes who
     * waits. Meant for one host page: of several, the answer tells of the first that was not placed.
     *
     * @param mode 0, {@link #DONTWAKE}, {@link #PLACE_WP}
     */
    public Placement copy(long hostVirtual, MemorySegment source, long sourceOffset, long lengthBytes, long mode)
            throws ErrnoException {
        long from = Libc.address(source, sourceOffset, lengthBytes);
        try {
            return place("UFFDIO_COPY", Ioctl.UFFDIO_COPY, hostVirtual, from, lengthBytes, mode);
        } finally {
            Reference.reachabilityFence(source);
        }
    }

    /** UFFDIO_ZEROPAGE: as {@link #copy} of zeroes, without memory of its own; not offered for huge pages. */
    public Placement zeropage(long hostVirtual, long lengthBytes, long mode) throws ErrnoException {
        return place("UFFDIO_ZEROPAGE", Ioctl.UFFDIO_ZEROPAGE, hostVirtual, NO_SOURCE, lengthBytes, mode);
    }

    /** UFFDIO_CONTINUE: maps what the file has at that place already; answers as {@link #copy} does. */
    public Placement continueFault(long hostVirtual, long lengthBytes, long mode) throws ErrnoException {
        return place("UFFDIO_CONTINUE", Ioctl.UFFDIO_CONTINUE, hostVirtual, NO_SOURCE, lengthBytes, mode);
    }

    /** UFFDIO_POISON: whoever touches the page gets SIGBUS; answers as {@link #copy} does. */
    public Placement poison(long hostVirtual, long lengthBytes, long mode) throws ErrnoException {
        return place("UFFDIO_POISON", Ioctl.UFFDIO_POISON, hostVirtual, NO_SOURCE, lengthBytes, mode);
    }

    /**
     * UFFDIO_MOVE: moves pages of private anonymous memory within the registered process, {@code sourceHostVirtual} is
     * an address there. Offered for shared memory too, where it always fails with EINVAL.
     */
    public Placement move(long hostVirtual, long sourceHostVirtual, long lengthBytes, long mode) throws ErrnoException {
        return place("UFFDIO_MOVE", Ioctl.UFFDIO_MOVE, hostVirtual, sourceHostVirtual, lengthBytes, mode);
    }

    @Override
    public void close() {
        descriptor.close();
    }

    private Placement place(String name, int request, long hostVirtual, long from, long lengthBytes, long mode)
            throws ErrnoException {
        long done = 0;
        while (true) {
            MemorySegment argument = from == NO_SOURCE
                    ? argument(hostVirtual + done, lengthBytes - done, mode, 0, 0)
                    : argument(hostVirtual + done, from + done, lengthBytes - done, mode, 0);
            long result = call(request, argument);
            long progress = argument.get(JAVA_LONG, from == NO_SOURCE ? PROGRESS : PROGRESS_WITH_SOURCE);
            if (result >= 0) {
                return Placement.PLACED;
            } else if (result == -Errno.EEXIST) {
                return Placement.ALREADY_THERE;
            } else if (result != -Errno.EAGAIN) {
                throw failure(name, result, hostVirtual + done, lengthBytes - done, mode);
            } else if (progress <= 0) {
                return Placement.RETRY;
            }
            done += progress;
        }
    }

    private long call(int request, MemorySegment argument) {
        return Ioctl.call(descriptor.number(), request, argument.address());
    }

    /** This thread's argument memory, filled with the words of the struct; what a struct does not have is ignored. */
    private static MemorySegment argument(long first, long second, long third, long fourth, long fifth) {
        MemorySegment words = CallMemory.ofThisThread().argument();
        words.set(JAVA_LONG, 0, first);
        words.set(JAVA_LONG, 8, second);
        words.set(JAVA_LONG, 16, third);
        words.set(JAVA_LONG, 24, fourth);
        words.set(JAVA_LONG, 32, fifth);
        return words;
    }

    private void check(String name, long result, long hostVirtual, long lengthBytes, long mode) throws ErrnoException {
        if (result < 0) {
            throw failure(name, result, hostVirtual, lengthBytes, mode);
        }
    }

    private ErrnoException failure(String name, long result, long hostVirtual, long lengthBytes, long mode) {
        String arguments =
                "fd=%d start=%#x length=%d mode=%d".formatted(descriptor.number(), hostVirtual, lengthBytes, mode);
        return Libc.failure(name, result, arguments);
    }
}
