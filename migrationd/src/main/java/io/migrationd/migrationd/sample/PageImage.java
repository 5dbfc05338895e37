package io.migrationd.migrationd.sample;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.util.Optional;

/**
 * The content of a page: a function of the guest's seed, the page's number and the sequence number of the write. A page
 * that mixes two writes fails its checksum; a whole page of an older write shows its sequence number.
 *
 * <pre>
 *    0  magic
 *    8  page number
 *   16  sequence number of the write, from 1
 *   24  worker
 *   32  payload, pseudo-random
 * 4080  sequence number again
 * 4088  checksum of all before
 * </pre>
 */
final class PageImage {
    static final int PAGE_BYTES = 4096;
    static final long SEQUENCE = 16;

    private static final long MAGIC = 0x7361_6d70_6c65_0001L;
    private static final long PAGE = 8;
    private static final long WORKER = 24;
    private static final long PAYLOAD = 32;
    private static final long TAIL = 4080;
    private static final long CHECKSUM = 4088;
    private static final long GOLDEN = 0x9E37_79B9_7F4A_7C15L;

    private PageImage() {}

    /** Fills {@code page}, a page of scratch memory. */
    static void compose(MemorySegment page, long seed, long pageNumber, long sequence, int worker) {
        page.set(JAVA_LONG, 0, MAGIC);
        page.set(JAVA_LONG, PAGE, pageNumber);
        page.set(JAVA_LONG, SEQUENCE, sequence);
        page.set(JAVA_LONG, WORKER, worker);
        long state = seed ^ mix(pageNumber, sequence);
        for (long at = PAYLOAD; at < TAIL; at += Long.BYTES) {
            state += GOLDEN;
            page.set(JAVA_LONG, at, scramble(state));
        }
        page.set(JAVA_LONG, TAIL, sequence);
        page.set(JAVA_LONG, CHECKSUM, checksum(page, 0));
    }

    /**
     * What is wrong with the page at {@code offset} of {@code memory}; empty if it is what the last write left.
     *
     * @param expectedSequence of the last write, 0 for a page that was never written and must be zero
     */
    static Optional<String> problem(MemorySegment memory, long offset, long pageNumber, long expectedSequence) {
        if (expectedSequence == 0) {
            return isZero(memory, offset)
                    ? Optional.empty()
                    : Optional.of("page %d was never written and is not zero".formatted(pageNumber));
        }
        long sequence = memory.get(JAVA_LONG, offset + SEQUENCE);
        long tail = memory.get(JAVA_LONG, offset + TAIL);
        if (memory.get(JAVA_LONG, offset + CHECKSUM) != checksum(memory, offset)) {
            return Optional.of(
                    "page %d is torn: it begins with write %d and ends with write %d, expected write %d, the checksum is wrong"
                            .formatted(pageNumber, sequence, tail, expectedSequence));
        }
        if (memory.get(JAVA_LONG, offset) != MAGIC || memory.get(JAVA_LONG, offset + PAGE) != pageNumber) {
            return Optional.of("page %d holds page %d".formatted(pageNumber, memory.get(JAVA_LONG, offset + PAGE)));
        }
        if (sequence != expectedSequence) {
            return Optional.of("page %d is stale: it holds write %d, expected write %d"
                    .formatted(pageNumber, sequence, expectedSequence));
        }
        return Optional.empty();
    }

    private static boolean isZero(MemorySegment memory, long offset) {
        for (long at = offset; at < offset + PAGE_BYTES; at += Long.BYTES) {
            if (memory.get(JAVA_LONG, at) != 0) {
                return false;
            }
        }
        return true;
    }

    private static long checksum(MemorySegment memory, long offset) {
        long sum = MAGIC;
        for (long at = offset; at < offset + CHECKSUM; at += Long.BYTES) {
            sum = Long.rotateLeft(sum ^ memory.get(JAVA_LONG, at), 23) * GOLDEN;
        }
        // An all-zero page must not pass.
        return sum | 1;
    }

    /** A number that stands for "that page had that write last"; 0 for a page without one. */
    static long mix(long pageNumber, long sequence) {
        return sequence == 0 ? 0 : scramble(scramble(pageNumber + GOLDEN) ^ sequence * GOLDEN);
    }

    /** The finalizer of SplitMix64: a bijection whose output bits depend on all input bits. */
    static long scramble(long value) {
        long z = value;
        z = (z ^ (z >>> 30)) * 0xBF58_476D_1CE4_E5B9L;
        z = (z ^ (z >>> 27)) * 0x94D0_49BB_1331_11EBL;
        return z ^ (z >>> 31);
    }
}
