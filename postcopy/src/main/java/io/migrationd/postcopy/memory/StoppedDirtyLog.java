package io.migrationd.postcopy.memory;

import java.util.HashSet;
import java.util.Set;

/** Nothing writes, so everything is dirty once. */
final class StoppedDirtyLog implements DirtyLog {
    private final Set<String> collected = new HashSet<>();

    @Override
    public long collect(RamBlock block, PageBitmap dirty) {
        if (!collected.add(block.name())) {
            return 0;
        }
        long before = dirty.cardinality();
        dirty.set(0, dirty.pageCount());
        return dirty.cardinality() - before;
    }

    @Override
    public void close() {
        // Holds nothing.
    }
}
