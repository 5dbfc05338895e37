package io.migrationd.migrationd.outgoing;

import org.jspecify.annotations.Nullable;

/** Pages that one thread has claimed. Filled again and again, so that a claim allocates nothing. */
final class PageRun {
    private @Nullable SourceBlock block;
    private long from;
    private long to;
    private boolean near;

    void set(SourceBlock ofBlock, long fromPage, long toPage, boolean isNear) {
        block = ofBlock;
        from = fromPage;
        to = toPage;
        near = isNear;
    }

    SourceBlock block() {
        if (block == null) {
            throw new IllegalStateException("nothing was claimed");
        }
        return block;
    }

    /** First page. */
    long from() {
        return from;
    }

    /** Behind the last page. */
    long to() {
        return to;
    }

    long pageCount() {
        return to - from;
    }

    /** Whether it lies closely behind a page that was asked for. */
    boolean isNear() {
        return near;
    }
}
