package io.migrationd.postcopy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Guest RAM that is filled while its guest may run. Pages are placed whole: nobody ever sees a part of one. Placement
 * may come from several threads at once; {@link #park}, {@link #resume}, {@link #finish} from one at a time.
 */
public interface IncomingMemory extends AutoCloseable {
    /** All blocks, in the order of the block list. */
    List<IncomingBlock> blocks();

    /** The block of that name. */
    default Optional<IncomingBlock> block(String name) {
        return blocks().stream().filter(b -> b.name().equals(name)).findFirst();
    }

    /**
     * From now on missing pages fault, and are asked of {@code requester}, each once. Called before any guest thread
     * may run; after a restart of the daemon, while they do. Requests that fail stay in the table.
     */
    void start(PageRequester requester) throws IOException;

    /**
     * Places one host page and wakes who waits for it. A page that is there already is left as it is. {@code source} is
     * native memory.
     */
    void place(IncomingBlock block, long offset, MemorySegment source, long sourceOffset) throws IOException;

    /**
     * As {@link #place} of each of {@code count} host pages that lie together, the first one's bytes at
     * {@code sourceOffset} and the others' each {@code stride} behind.
     */
    default void placeRun(
            IncomingBlock block, long offset, int count, MemorySegment source, long sourceOffset, long stride)
            throws IOException {
        for (int i = 0; i < count; i++) {
            place(block, offset + (long) i * block.hostPageBytes(), source, sourceOffset + i * stride);
        }
    }

    /** As {@link #place}, all zeroes. */
    void placeZero(IncomingBlock block, long offset) throws IOException;

    /** The connection is gone: faults are still taken in, but nothing is asked for until {@link #resume}. */
    void park();

    /** There is a connection again: asks for everything that is waited for, and goes on. */
    void resume() throws IOException;

    /** Whether every page of every block is there. */
    boolean isComplete();

    /** Every page is there: faults are no longer ours. Fails if a page is missing. */
    void finish() throws IOException;

    /** Since when the page is waited for that is waited for longest ({@link System#nanoTime}). Any thread. */
    OptionalLong awaitedSinceNanos();

    /** What was seen so far. Any thread. */
    FaultReport report();

    /** Stops the threads. Missing pages go on faulting, and wait for whoever serves them next. */
    @Override
    void close();
}
