package io.migrationd.postcopy.memory;

/**
 * One bit per page of a block. It counts its bits as they change, so that {@link #cardinality} costs nothing. Not
 * thread-safe: one owner.
 */
public final class PageBitmap {
    private final long[] words;
    private final long pageCount;
    private long cardinality;

    /** All clear. {@code pageCount} is at least 1 and at most 2^36. */
    public PageBitmap(long pageCount) {
        if (pageCount < 1 || pageCount > 1L << 36) {
            throw new IllegalArgumentException("a bitmap of " + pageCount + " pages");
        }
        this.pageCount = pageCount;
        this.words = new long[Math.toIntExact((pageCount + 63) >>> 6)];
    }

    /** How many pages it has a bit for. */
    public long pageCount() {
        return pageCount;
    }

    /** How many bits are set. */
    public long cardinality() {
        return cardinality;
    }

    /** Whether the page's bit is set. */
    public boolean get(long page) {
        return (words[word(page)] & bit(page)) != 0;
    }

    /** Sets a bit; says whether it was clear. */
    public boolean set(long page) {
        int word = word(page);
        long old = words[word];
        if ((old & bit(page)) != 0) {
            return false;
        }
        words[word] = old | bit(page);
        cardinality++;
        return true;
    }

    /** Clears a bit; says whether it was set. */
    public boolean clear(long page) {
        int word = word(page);
        long old = words[word];
        if ((old & bit(page)) == 0) {
            return false;
        }
        words[word] = old & ~bit(page);
        cardinality--;
        return true;
    }

    /** Sets the bits from {@code from} to {@code to}, exclusive. */
    public void set(long from, long to) {
        change(from, to, true);
    }

    /** Clears the bits from {@code from} to {@code to}, exclusive. */
    public void clear(long from, long to) {
        change(from, to, false);
    }

    /** The first set bit at or behind {@code from}, or {@link #pageCount()}. */
    public long nextSet(long from) {
        return next(from, 0L);
    }

    /** The first clear bit at or behind {@code from}, or {@link #pageCount()}. */
    public long nextClear(long from) {
        return next(from, -1L);
    }

    private long next(long from, long flip) {
        if (from >= pageCount) {
            return pageCount;
        }
        int index = (int) (from >>> 6);
        long word = (words[index] ^ flip) & (-1L << from);
        while (word == 0) {
            if (++index == words.length) {
                return pageCount;
            }
            word = words[index] ^ flip;
        }
        return Math.min(pageCount, ((long) index << 6) + Long.numberOfTrailingZeros(word));
    }

    private void change(long from, long to, boolean value) {
        if (from < 0 || to > pageCount || from > to) {
            throw new IndexOutOfBoundsException("pages " + from + " to " + to + " of " + pageCount);
        }
        long at = from;
        while (at < to) {
            int index = (int) (at >>> 6);
            long end = Math.min(to, ((long) index + 1) << 6);
            long mask = (-1L << at) & (-1L >>> -end);
            long old = words[index];
            words[index] = value ? old | mask : old & ~mask;
            cardinality += Long.bitCount(words[index]) - Long.bitCount(old);
            at = end;
        }
    }

    private int word(long page) {
        if (page < 0 || page >= pageCount) {
            throw new IndexOutOfBoundsException("page " + page + " of " + pageCount);
        }
        return (int) (page >>> 6);
    }

    private static long bit(long page) {
        return 1L << page;
    }
}
