package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;

/**
 * eventfd(2) as a doorbell: any thread signals, the one that polls {@link #fd} wakes and drains. Interrupts do not
 * reach a thread in a native call; this does. Safe for any thread until it is closed.
 */
public final class EventFd implements AutoCloseable {
    private static final int EFD_NONBLOCK = Libc.O_NONBLOCK;
    private static final int EFD_CLOEXEC = Libc.O_CLOEXEC;
    private static final NativeFunction EVENTFD = NativeFunction.of("eventfd", JAVA_INT, JAVA_INT, JAVA_INT);

    private final Descriptor descriptor;

    private EventFd(Descriptor descriptor) {
        this.descriptor = descriptor;
    }

    /** eventfd(2), not signalled, non-blocking, close-on-exec. */
    public static EventFd open() throws ErrnoException {
        long result = EVENTFD.call(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (result < 0) {
            throw Libc.failure("eventfd", result, "count=0");
        }
        return new EventFd(new Descriptor((int) result));
    }

    /** For a {@link PollSet}; readable while signalled. It stays ours. */
    public int fd() {
        return descriptor.number();
    }

    /** Makes the descriptor readable. Signalling twice is as good as once. */
    public void signal() throws ErrnoException {
        MemorySegment one = CallMemory.ofThisThread().argument().asSlice(0, Long.BYTES);
        one.set(JAVA_LONG, 0, 1);
        Libc.writeIfReady(fd(), one); // When the counter has no room left, it is signalled.
    }

    /** Takes the signal back; says whether there was one. */
    public boolean drain() throws ErrnoException {
        return Libc.readIfReady(fd(), CallMemory.ofThisThread().argument()) > 0;
    }

    @Override
    public void close() {
        descriptor.close();
    }
}
