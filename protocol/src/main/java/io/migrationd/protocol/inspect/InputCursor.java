package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/** Reads a range of the input in order; offsets are those of the input. */
final class InputCursor {
    private static final int CHUNK_BYTES = 1 << 20;

    private final InspectInput input;
    private final long end;
    private final StreamReader reader;
    private long next;
    private boolean exhausted;

    InputCursor(InspectInput input, long start, long end) {
        this.input = input;
        this.next = start;
        this.end = Math.min(end, input.size());
        ChunkSource source = this::nextChunk;
        this.reader = new StreamReader(source, start);
    }

    StreamReader reader() {
        return reader;
    }

    long end() {
        return end;
    }

    long left() {
        return end - reader.offset();
    }

    /** Did this fault come from bytes that are not there? A field that was read and found wrong lies behind. */
    boolean isTruncation(ProtocolException fault) {
        return exhausted && fault.offset() == reader.offset();
    }

    private @Nullable ByteBuffer nextChunk() throws IOException {
        if (next >= end) {
            exhausted = true;
            return null;
        }
        ByteBuffer chunk = input.at(next, (int) Math.min(CHUNK_BYTES, end - next));
        next += chunk.remaining();
        return chunk;
    }
}
