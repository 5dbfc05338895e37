package io.migrationd.migrationd.sample;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.WireReader;
import io.migrationd.protocol.wire.WireWriter;
import java.nio.ByteBuffer;
import java.util.List;

/**
 * What a worker knows without looking at RAM; its device section. Each chunk of 512 pages has a digest: the sum of
 * {@link PageImage#mix} of its pages and their last writes. It travels apart from RAM, so a page and its entry in the
 * index that are both old cannot vouch for each other.
 */
final class WorkerState {
    static final String IDSTR = "sample-worker";
    static final int VERSION = 1;

    /** In wire order; the digests follow. */
    static final List<String> FIELDS =
            List.of("first_page", "page_count", "seed", "sequence", "random", "operations", "log_digest");

    final long firstPage;
    final long pageCount;
    final long[] chunkDigests;
    long seed;
    long sequence;
    long random;
    long operations;
    long logDigest;

    WorkerState(long firstPage, long pageCount, long seed) {
        this.firstPage = firstPage;
        this.pageCount = pageCount;
        this.seed = seed;
        this.random = PageImage.scramble(seed + firstPage + 1);
        this.chunkDigests = new long[Math.toIntExact(pageCount / SampleMemory.CHUNK_PAGES)];
    }

    /** The write of {@code page} becomes part of what must be found. */
    void written(long page, long previousSequence) {
        int chunk = (int) ((page - firstPage) / SampleMemory.CHUNK_PAGES);
        chunkDigests[chunk] += PageImage.mix(page, sequence) - PageImage.mix(page, previousSequence);
        logDigest = PageImage.scramble(logDigest ^ PageImage.mix(page, sequence));
        operations++;
    }

    long nextRandom() {
        random += 0x9E37_79B9_7F4A_7C15L;
        return PageImage.scramble(random);
    }

    /** The bytes of a body for a worker of that many pages. */
    int bodyBytes() {
        return (FIELDS.size() + chunkDigests.length) * Long.BYTES;
    }

    byte[] encode() {
        WireWriter out = new WireWriter()
                .writeLong(firstPage)
                .writeLong(pageCount)
                .writeLong(seed)
                .writeLong(sequence)
                .writeLong(random)
                .writeLong(operations)
                .writeLong(logDigest);
        for (long digest : chunkDigests) {
            out.writeLong(digest);
        }
        return out.toByteArray();
    }

    /** A state of a worker with the same pages. */
    WorkerState decode(byte[] body) throws ProtocolException {
        if (body.length != bodyBytes()) {
            throw new ProtocolException("worker", 0, bodyBytes() + " bytes", body.length);
        }
        WireReader in = new WireReader(ByteBuffer.wrap(body), 0);
        require("worker.first-page", firstPage, in.readLong("worker.first-page"));
        require("worker.page-count", pageCount, in.readLong("worker.page-count"));
        WorkerState state = new WorkerState(firstPage, pageCount, in.readLong("worker.seed"));
        state.sequence = in.readLong("worker.sequence");
        state.random = in.readLong("worker.random");
        state.operations = in.readLong("worker.operations");
        state.logDigest = in.readLong("worker.log-digest");
        for (int i = 0; i < chunkDigests.length; i++) {
            state.chunkDigests[i] = in.readLong("worker.chunk-digests");
        }
        return state;
    }

    private static void require(String field, long local, long received) throws ProtocolException {
        if (local != received) {
            throw new ProtocolException(field, 0, Long.toString(local), received);
        }
    }
}
