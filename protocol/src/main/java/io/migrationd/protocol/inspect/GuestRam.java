package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.StreamLimits;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** What a stream has said about the guest's RAM. Shared by all of its RAM bodies. */
final class GuestRam {
    /** {@code length} and {@code pageSize} in bytes; the page size is the guest's if no other is known. */
    record Block(String name, long length, long pageSize) {}

    private final Map<String, Block> blocks = new HashMap<>();
    private boolean listed;

    /** Guest page size in bytes, and whether something said so or it is assumed. */
    int pageSize = 4096;

    boolean pageSizeKnown;

    /** Capability x-ignore-shared: the block list has addresses. */
    boolean ignoreShared;

    /** Capability mapped-ram: pages lie in the file, not in records. */
    boolean mappedRam;

    /** First value of POSTCOPY_ADVISE, 0 without. */
    long hostPageSizes;

    void list(Block block) {
        listed = true;
        blocks.put(block.name(), block);
    }

    /** True once a block list has been seen; a resumed connection has none. */
    boolean isListed() {
        return listed;
    }

    @Nullable
    Block block(String name) {
        Block known = blocks.get(name);
        if (known == null && !listed) {
            return new Block(name, Long.MAX_VALUE, pageSize);
        }
        return known;
    }

    /** True for what can be the guest page size of some target. */
    static boolean isPageSize(long bytes) {
        return Long.bitCount(bytes) == 1
                && bytes >= 1L << StreamLimits.MIN_PAGE_BITS
                && bytes <= 1L << StreamLimits.MAX_PAGE_BITS;
    }

    /** The page size of blocks that do not announce their own. */
    long basePageSize() {
        return hostPageSizes == 0 ? pageSize : Math.max(pageSize, Long.lowestOneBit(hostPageSizes));
    }
}
