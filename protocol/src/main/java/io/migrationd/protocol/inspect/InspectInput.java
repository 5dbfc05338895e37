package io.migrationd.protocol.inspect;

import java.io.IOException;
import java.nio.ByteBuffer;

/** Random access to a capture that is complete. */
public interface InspectInput {
    /** Bytes of the capture. */
    long size();

    /**
     * The bytes from {@code offset} on, as many of {@code length} as there are: position to limit of a buffer that is
     * the caller's own.
     */
    ByteBuffer at(long offset, int length) throws IOException;

    /** A capture in memory. */
    static InspectInput of(byte[] bytes) {
        return new InspectInput() {
            @Override
            public long size() {
                return bytes.length;
            }

            @Override
            public ByteBuffer at(long offset, int length) {
                int start = (int) Math.min(offset, bytes.length);
                return ByteBuffer.wrap(bytes, start, Math.min(length, bytes.length - start))
                        .slice();
            }
        };
    }
}
