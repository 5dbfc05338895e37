package io.migrationd.migrationd.relay;

import java.nio.ByteBuffer;

/** Sees the bytes of one direction of one connection in order, as they pass. Called on an event loop: never blocks. */
@FunctionalInterface
public interface StreamTap {
    /** Looks at nothing. */
    StreamTap NONE = bytes -> {};

    /** The next bytes; they are valid during the call only, and not to be changed. */
    void accept(ByteBuffer bytes);
}
