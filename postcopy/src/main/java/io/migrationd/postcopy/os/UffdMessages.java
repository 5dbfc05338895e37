package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * What a userfaultfd reports: {@code struct uffd_msg} of linux/userfaultfd.h, many per read. One thread; allocated
 * once.
 */
public final class UffdMessages {
    public static final int EVENT_PAGEFAULT = 0x12;
    public static final int EVENT_FORK = 0x13;
    public static final int EVENT_REMAP = 0x14;
    public static final int EVENT_REMOVE = 0x15;
    public static final int EVENT_UNMAP = 0x16;

    public static final long PAGEFAULT_WRITE = 1;
    public static final long PAGEFAULT_WP = 2;
    public static final long PAGEFAULT_MINOR = 4;

    static final long MESSAGE_BYTES = 32;

    private final MemorySegment array;
    private int count;

    /** Room for {@code capacity} messages per read. */
    public UffdMessages(int capacity) {
        // As long-lived as the fault loop, and passed to no other thread; the collector frees it.
        this.array = Arena.ofAuto().allocate(capacity * MESSAGE_BYTES, Long.BYTES);
    }

    /** read(2): replaces the messages by the next ones that wait; returns how many, 0 when none does. */
    public int read(int userfaultfd) throws ErrnoException {
        count = 0;
        long bytes = Libc.readIfReady(userfaultfd, array);
        count = (int) (Math.max(0, bytes) / MESSAGE_BYTES);
        return count;
    }

    /** One of the EVENT constants. */
    public int event(int index) {
        return Byte.toUnsignedInt(array.get(JAVA_BYTE, at(index)));
    }

    /** Of a page fault: PAGEFAULT bits; none is a read of a missing page. */
    public long faultFlags(int index) {
        return array.get(JAVA_LONG, at(index) + 8);
    }

    /** Of a page fault: the address, rounded down to its page. */
    public long faultHostVirtual(int index) {
        return array.get(JAVA_LONG, at(index) + 16);
    }

    /** Of a page fault, with FEATURE_THREAD_ID: the thread that waits. */
    public int faultThread(int index) {
        return array.get(JAVA_INT, at(index) + 24);
    }

    /** Of a removal or an unmapping: where it starts. */
    public long rangeStart(int index) {
        return array.get(JAVA_LONG, at(index) + 8);
    }

    /** Of a removal or an unmapping: where it ends, exclusive. */
    public long rangeEnd(int index) {
        return array.get(JAVA_LONG, at(index) + 16);
    }

    private long at(int index) {
        return Objects.checkIndex(index, count) * MESSAGE_BYTES;
    }
}
