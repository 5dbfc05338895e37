package io.migrationd.migrationd.sample;

import io.migrationd.migrationd.sample.SampleOptions.Touch;

/**
 * In which order a worker walks over its pages when it verifies them for the first time: position to page, both from 0
 * to below {@code pageCount}. Needs no memory.
 */
record PageOrder(Touch touch, long pageCount, long seed) {
    private static final int ROUNDS = 3;

    long at(long position) {
        return touch == Touch.RANDOM ? shuffled(position) : position;
    }

    /** A bijection of the next power of two, applied until the result is a page: together a bijection of the pages. */
    private long shuffled(long position) {
        long page = position;
        do {
            page = mixed(page);
        } while (page >= pageCount);
        return page;
    }

    /** Odd factors, additions and shifted bits can all be undone, so no two numbers meet. */
    private long mixed(long number) {
        int bits = Math.max(2, Long.SIZE - Long.numberOfLeadingZeros(pageCount - 1));
        long mask = (1L << bits) - 1;
        long result = number;
        for (int round = 0; round < ROUNDS; round++) {
            long key = PageImage.scramble(seed + round);
            result = (result * (key | 1) + (key >>> 32)) & mask;
            result ^= result >>> (bits / 2);
        }
        return result;
    }
}
