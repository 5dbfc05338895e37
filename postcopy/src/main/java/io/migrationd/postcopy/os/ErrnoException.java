package io.migrationd.postcopy.os;

import java.io.IOException;

/** The kernel said no: the call, its arguments and errno. */
public final class ErrnoException extends IOException {
    private final String call;
    private final int errno;

    /** {@code arguments} as a person needs them to understand the refusal, for example {@code fd=7 offset=4096}. */
    public ErrnoException(String call, int errno, String arguments) {
        super("%s(%s): %s".formatted(call, arguments, Errno.describe(errno)));
        this.call = call;
        this.errno = errno;
    }

    /** The name of the system call, or of the ioctl. */
    public String call() {
        return call;
    }

    /** The number, see {@link Errno}. */
    public int errno() {
        return errno;
    }
}
