package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

/** ioctl(2) and the numbers we use, the same on x86-64 and aarch64 (linux/userfaultfd.h, linux/fs.h). */
final class Ioctl {
    static final int USERFAULTFD_IOC_NEW = 0xAA00;
    static final int UFFDIO_API = 0xC018AA3F;
    static final int UFFDIO_REGISTER = 0xC020AA00;
    static final int UFFDIO_UNREGISTER = 0x8010AA01;
    static final int UFFDIO_WAKE = 0x8010AA02;
    static final int UFFDIO_COPY = 0xC028AA03;
    static final int UFFDIO_ZEROPAGE = 0xC020AA04;
    static final int UFFDIO_MOVE = 0xC028AA05;
    static final int UFFDIO_WRITEPROTECT = 0xC018AA06;
    static final int UFFDIO_CONTINUE = 0xC020AA07;
    static final int UFFDIO_POISON = 0xC020AA08;
    static final int PAGEMAP_SCAN = 0xC0606610;

    private static final NativeFunction IOCTL =
            NativeFunction.variadic("ioctl", 2, JAVA_INT, JAVA_INT, JAVA_LONG, JAVA_LONG);

    private Ioctl() {}

    /** ioctl(2): the result, or minus errno. {@code argument} is a value, or the address of memory that lives. */
    static long call(int fd, int request, long argument) {
        return IOCTL.call(fd, Integer.toUnsignedLong(request), argument);
    }
}
