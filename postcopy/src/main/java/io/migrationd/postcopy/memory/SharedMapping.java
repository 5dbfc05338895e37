package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Libc;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A block mapped shared into this process, for the process that runs a guest: a migrating daemon never maps guest
 * memory. Any thread may use the segment; after {@link #close} it refuses.
 */
public final class SharedMapping implements AutoCloseable {
    private final Arena arena;
    private final MemorySegment segment;

    private SharedMapping(Arena arena, MemorySegment segment) {
        this.arena = arena;
        this.segment = segment;
    }

    /** Maps the whole block for reading and writing. The block may be closed before the mapping. */
    @SuppressWarnings("MustBeClosedChecker") // The arena is the mapping's, and ends in its close.
    public static SharedMapping of(FdRamBlock block) throws ErrnoException {
        Arena arena = Arena.ofShared();
        try {
            int protection = Libc.PROT_READ | Libc.PROT_WRITE;
            MemorySegment segment =
                    Libc.mmap(block.fd(), block.baseOffset(), block.lengthBytes(), protection, Libc.MAP_SHARED, arena);
            return new SharedMapping(arena, segment);
        } catch (ErrnoException e) {
            arena.close();
            throw e;
        }
    }

    /** The guest's memory. */
    public MemorySegment segment() {
        return segment;
    }

    /** Where it lies in this process, and under which name the daemon knows it. */
    public GuestRange range(String blockName) {
        return new GuestRange(blockName, segment.address(), segment.byteSize());
    }

    @Override
    public void close() {
        arena.close();
    }
}
