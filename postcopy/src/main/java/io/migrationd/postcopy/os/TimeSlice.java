package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;

/**
 * sched_setattr(2): how long the calling thread of an ordinary process may run before others have their turn. From
 * Linux 6.12 on a thread with a shorter slice interrupts one with a longer one when it wakes, instead of waiting for
 * the other's slice to end; what it may run in all stays the same, and no privilege is needed. Older kernels ignore it.
 */
public final class TimeSlice {
    /** The shortest that the kernel knows. */
    public static final long SHORTEST_NANOS = 100_000;

    private static final NativeFunction SYSCALL = NativeFunction.variadic(
            "syscall", 1, JAVA_LONG, JAVA_LONG, JAVA_LONG, NativeFunction.WORD, JAVA_LONG, JAVA_LONG);
    private static final int ATTR_BYTES = 48;
    private static final long SIZE = 0;
    private static final long POLICY = 4;
    private static final long RUNTIME = 24;
    private static final int SCHED_OTHER = 0;
    private static final boolean ARM = System.getProperty("os.arch").equals("aarch64");
    private static final int SYS_SCHED_SETATTR = ARM ? 274 : 314;
    private static final int SYS_SCHED_GETATTR = ARM ? 275 : 315;

    private TimeSlice() {}

    /**
     * Gives the calling thread such slices from now on; false if it is not an ordinary thread, or the kernel refuses.
     */
    public static boolean set(long nanos) {
        MemorySegment attr = CallMemory.ofThisThread().argument().asSlice(0, ATTR_BYTES);
        if (SYSCALL.call(SYS_SCHED_GETATTR, 0, attr.address(), ATTR_BYTES, 0, 0) < 0) {
            return false;
        }
        if (attr.get(JAVA_INT, POLICY) != SCHED_OTHER) {
            return false;
        }
        attr.set(JAVA_INT, SIZE, ATTR_BYTES);
        attr.set(JAVA_LONG, RUNTIME, nanos);
        return SYSCALL.call(SYS_SCHED_SETATTR, 0, attr.address(), 0, 0, 0) >= 0;
    }
}
