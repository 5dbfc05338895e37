package io.migrationd.protocol.wire;

import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/** Where a {@link StreamReader} gets its bytes: a socket's receive queue, a file, an array. */
@FunctionalInterface
public interface ChunkSource {
    /**
     * The next bytes of the stream, at least one, valid until the next call; {@code null} at the end of input. Blocks
     * until there are some.
     */
    @Nullable
    ByteBuffer next() throws IOException;

    /** A source that ends after the bytes of {@code chunks}. */
    static ChunkSource of(ByteBuffer... chunks) {
        int[] index = {0};
        return () -> {
            while (index[0] < chunks.length) {
                ByteBuffer chunk = chunks[index[0]++];
                if (chunk.hasRemaining()) {
                    return chunk.duplicate();
                }
            }
            return null;
        };
    }
}
