package io.migrationd.migrationd.sample;

import java.util.Optional;
import java.util.UUID;

/**
 * What a sample guest is made of. Both ends of a migration need the same RAM, blocks and threads; the rest may differ.
 *
 * @param ramBytes a multiple of 2 MiB times {@code blocks}
 * @param writesPerSecond of all threads together, 0 for as many as possible
 * @param zeroShare share of RAM that is never written, 0 to below 1
 * @param corruptPage a page to corrupt after its first write, -1 for none
 * @param touch how all pages are verified after the guest was loaded
 * @param hugePages the data blocks are of 2 MiB pages, which come from the host's pool
 */
public record SampleOptions(
        String name,
        Optional<UUID> uuid,
        String machineType,
        long ramBytes,
        int blocks,
        long writesPerSecond,
        Pattern pattern,
        int threads,
        boolean incoming,
        double zeroShare,
        long seed,
        long corruptPage,
        Touch touch,
        boolean hugePages) {
    /** In which order pages are written. */
    public enum Pattern {
        SEQUENTIAL,
        RANDOM,
        /** Nine of ten writes go to a tenth of the pages. */
        HOT
    }

    /** In which order each page is verified once, as fast as it goes, after the guest was loaded. */
    public enum Touch {
        SEQUENTIAL,
        RANDOM,
        /** Not at all: a page is only touched when its turn to be written comes. */
        NONE
    }

    /** Rejects what cannot work, in words for the command line. */
    public SampleOptions {
        if (blocks < 1 || blocks > 32) {
            throw new IllegalArgumentException("--blocks is 1 to 32, not " + blocks);
        }
        if (ramBytes < 1 || ramBytes % (SampleMemory.CHUNK_BYTES * blocks) != 0) {
            throw new IllegalArgumentException("--ram is a multiple of %d bytes (2 MiB per block), not %d"
                    .formatted(SampleMemory.CHUNK_BYTES * blocks, ramBytes));
        }
        if (threads < 1 || threads > ramBytes / SampleMemory.CHUNK_BYTES || threads > 256) {
            throw new IllegalArgumentException(
                    "--threads is 1 to 256 and at most one per 2 MiB of RAM, not " + threads);
        }
        if (writesPerSecond < 0) {
            throw new IllegalArgumentException("--rate is 0 or more, not " + writesPerSecond);
        }
        if (!(zeroShare >= 0 && zeroShare < 1)) {
            throw new IllegalArgumentException("--zero-share is from 0 to below 1, not " + zeroShare);
        }
    }
}
