package io.migrationd.migrationd.relay.tap;

/**
 * Pages by how they were sent.
 *
 * @param full pages sent as they are
 * @param zero pages sent as one byte
 * @param xbzrle pages sent as deltas
 * @param compressed zlib pages, up to QEMU 9.0
 */
public record PageCounts(long full, long zero, long xbzrle, long compressed) {
    /** No page at all. */
    public static final PageCounts NONE = new PageCounts(0, 0, 0, 0);

    /** All of them. */
    public long total() {
        return full + zero + xbzrle + compressed;
    }

    /** What came on top of {@code before}. */
    public PageCounts minus(PageCounts before) {
        return new PageCounts(
                full - before.full, zero - before.zero, xbzrle - before.xbzrle, compressed - before.compressed);
    }

    /** Both together. */
    public PageCounts plus(PageCounts other) {
        return new PageCounts(
                full + other.full, zero + other.zero, xbzrle + other.xbzrle, compressed + other.compressed);
    }
}
