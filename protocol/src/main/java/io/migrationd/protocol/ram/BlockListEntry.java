package io.migrationd.protocol.ram;

/**
 * One block of the MEM_SIZE record.
 *
 * @param offset of the entry in the stream
 * @param lengthBytes used length, a multiple of the guest page
 * @param pageSizeBytes the block's page size if it was announced, else 0
 */
public record BlockListEntry(long offset, String name, long lengthBytes, long pageSizeBytes) {
    /**
     * True if a word that follows a block's length is its page size. Nothing but its value tells (spec: condition A).
     *
     * @param hostPageSizes first value of POSTCOPY_ADVISE, 0 without
     */
    public static boolean isPageSize(long word, long hostPageSizes) {
        return mayHavePageSizes(hostPageSizes)
                && word > 0
                && Long.bitCount(word) == 1
                && (hostPageSizes & word) != 0
                && word != Long.lowestOneBit(hostPageSizes);
    }

    /** False if no block announces its page size, because they all have the base one. */
    public static boolean mayHavePageSizes(long hostPageSizes) {
        return Long.bitCount(hostPageSizes) >= 2;
    }
}
