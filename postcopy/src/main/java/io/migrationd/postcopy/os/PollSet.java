package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/** poll(2) over a fixed list of descriptors, which stay their owners'. One thread; allocated once. */
public final class PollSet {
    public static final int POLLIN = 1;
    public static final int POLLOUT = 4;
    public static final int POLLERR = 8;
    public static final int POLLHUP = 0x10;
    public static final int POLLNVAL = 0x20;
    /** The peer of a stream socket writes no more, whatever of it is still to be read. */
    public static final int POLLRDHUP = 0x2000;

    private static final NativeFunction POLL = NativeFunction.of("poll", JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT);
    private static final long POLLFD_BYTES = 8;
    private static final long EVENTS = 4;
    private static final long REVENTS = 6;
    private static final long NANOS_PER_MILLI = 1_000_000;

    private final MemorySegment array;
    private final int size;

    /** Waits for {@link #POLLIN} on each; errors and hang-ups are always reported. */
    public PollSet(int... descriptors) {
        this.size = descriptors.length;
        // Small, and as long-lived as the loop that polls; the collector frees it.
        this.array = Arena.ofAuto().allocate(Math.max(1, size) * POLLFD_BYTES, Long.BYTES);
        for (int i = 0; i < size; i++) {
            array.set(JAVA_INT, i * POLLFD_BYTES, descriptors[i]);
            array.set(JAVA_SHORT, i * POLLFD_BYTES + EVENTS, (short) POLLIN);
        }
    }

    /** Changes what the descriptor at {@code index} is waited for; 0 leaves only errors and hang-ups. */
    public void setEvents(int index, int events) {
        array.set(JAVA_SHORT, Objects.checkIndex(index, size) * POLLFD_BYTES + EVENTS, (short) events);
    }

    /**
     * poll(2): blocks until a descriptor is ready or the time is over.
     *
     * @param timeoutMillis -1 for ever
     * @return how many are ready, 0 after the timeout
     */
    public int poll(int timeoutMillis) throws ErrnoException {
        long start = System.nanoTime();
        int left = timeoutMillis;
        while (true) {
            long result = POLL.callOnce(array.address(), size, left, 0, 0, 0);
            if (result >= 0) {
                return (int) result;
            }
            if (result != -Errno.EINTR) {
                throw Libc.failure("poll", result, "descriptors=" + size);
            }
            if (timeoutMillis >= 0) {
                long passed = (System.nanoTime() - start) / NANOS_PER_MILLI;
                left = (int) Math.max(0, timeoutMillis - passed);
            }
        }
    }

    /** The events of the last poll for the descriptor at {@code index}. */
    public int events(int index) {
        return Short.toUnsignedInt(array.get(JAVA_SHORT, Objects.checkIndex(index, size) * POLLFD_BYTES + REVENTS));
    }
}
