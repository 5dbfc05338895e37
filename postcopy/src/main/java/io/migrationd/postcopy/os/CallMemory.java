package io.migrationd.postcopy.os;

import java.lang.foreign.Arena;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.invoke.VarHandle;

/** Native scratch of one thread: where its calls leave errno, and room for the argument of one ioctl. */
final class CallMemory {
    /** The largest fixed-size argument is struct statx. */
    static final long ARGUMENT_BYTES = 256;

    private static final StructLayout STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = STATE.varHandle(PathElement.groupElement("errno"));
    private static final ThreadLocal<CallMemory> OF_THREAD = ThreadLocal.withInitial(CallMemory::new);

    private final MemorySegment state;
    private final MemorySegment argument;

    private CallMemory() {
        Arena untilThreadEnds =
                Arena.ofAuto(); // A thread's end closes nothing; the collector frees it with the thread.
        this.state = untilThreadEnds.allocate(STATE);
        this.argument = untilThreadEnds.allocate(ARGUMENT_BYTES, Long.BYTES);
    }

    static CallMemory ofThisThread() {
        return OF_THREAD.get();
    }

    MemorySegment state() {
        return state;
    }

    int errno() {
        return (int) ERRNO.get(state, 0L);
    }

    /** Contents are whatever the last call left. */
    MemorySegment argument() {
        return argument;
    }
}
