package io.migrationd.postcopy;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;

/** Which guest pages of a block have been received: one bit per page. Any thread, without a lock. */
public final class ReceivedBitmap {
    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final long[] words;
    private final long pageCount;
    private final AtomicLong cardinality = new AtomicLong();

    /** All clear. {@code pageCount} is at least 1 and at most 2^36. */
    public ReceivedBitmap(long pageCount) {
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

    /** How many are received. */
    public long cardinality() {
        return cardinality.get();
    }

    /** Whether all are received. */
    public boolean isComplete() {
        return cardinality() == pageCount;
    }

    /** Whether a page is received. */
    public boolean get(long page) {
        if (page < 0 || page >= pageCount) {
            throw new IndexOutOfBoundsException("page " + page + " of " + pageCount);
        }
        return (word((int) (page >>> 6)) & 1L << page) != 0;
    }

    /** Whether one of the pages from {@code from} to {@code to}, exclusive, is received. */
    public boolean isAnySet(long from, long to) {
        if (from < 0 || to > pageCount || from > to) {
            throw new IndexOutOfBoundsException("pages " + from + " to " + to + " of " + pageCount);
        }
        for (long at = from; at < to; ) {
            int index = (int) (at >>> 6);
            long end = Math.min(to, ((long) index + 1) << 6);
            if ((word(index) & (-1L << at) & (-1L >>> -end)) != 0) {
                return true;
            }
            at = end;
        }
        return false;
    }

    /** Marks pages from {@code from} to {@code to}, exclusive. */
    public void set(long from, long to) {
        change(from, to, true);
    }

    /** Forgets pages from {@code from} to {@code to}, exclusive. */
    public void clear(long from, long to) {
        change(from, to, false);
    }

    /** The first page at or behind {@code from} that is not received, or {@link #pageCount()}. */
    public long nextMissing(long from) {
        if (from >= pageCount) {
            return pageCount;
        }
        int index = (int) (from >>> 6);
        long word = ~word(index) & (-1L << from);
        while (word == 0) {
            if (++index == words.length) {
                return pageCount;
            }
            word = ~word(index);
        }
        return Math.min(pageCount, ((long) index << 6) + Long.numberOfTrailingZeros(word));
    }

    /** The words of RECV_BITMAP: page i is bit i mod 64 of word i div 64. A copy. */
    public long[] toWords() {
        long[] copy = new long[words.length];
        for (int i = 0; i < copy.length; i++) {
            copy[i] = word(i);
        }
        return copy;
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
            if (value) {
                long old = (long) WORD.getAndBitwiseOr(words, index, mask);
                cardinality.addAndGet(Long.bitCount(mask & ~old));
            } else {
                long old = (long) WORD.getAndBitwiseAnd(words, index, ~mask);
                cardinality.addAndGet(-Long.bitCount(mask & old));
            }
            at = end;
        }
    }

    private long word(int index) {
        return (long) WORD.getAcquire(words, index);
    }
}
