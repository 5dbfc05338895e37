package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

/** Takes a copy of a descriptor of another process, which need not know. */
public final class ForeignDescriptor {
    private static final int SYS_PIDFD_GETFD = 438;
    private static final NativeFunction SYSCALL =
            NativeFunction.variadic("syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG, JAVA_LONG);

    private ForeignDescriptor() {}

    /**
     * pidfd_getfd(2): for whoever may trace that process, so its user or CAP_SYS_PTRACE, and what Yama allows.
     *
     * @throws ErrnoException EBADF if it has no such descriptor, ESRCH if it has ended, EPERM without the right
     */
    public static Descriptor of(long pid, int number) throws ErrnoException {
        try (Descriptor process = new Descriptor(Libc.pidfdOpen(pid))) {
            long result = SYSCALL.call(SYS_PIDFD_GETFD, process.number(), number, 0);
            if (result < 0) {
                throw Libc.failure("pidfd_getfd", result, "pid=" + pid + " fd=" + number);
            }
            return new Descriptor((int) result);
        }
    }
}
