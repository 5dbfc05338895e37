package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;

/** A connection of the source and the cursor of whoever reads it. */
record Connection(MigrationChannel channel, StreamReader in) {
    /** A larger message of the return path waits until the socket has taken it, so that few bytes are in flight. */
    private static final int SMALL_BYTES = 4096;

    static Connection of(MigrationChannel channel) {
        return new Connection(channel, new StreamReader(channel.input()));
    }

    /** Writes a message of the return path. */
    void reply(ByteBuffer bytes) throws IOException {
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        channel.writeSmall(copy);
        if (copy.length > SMALL_BYTES) {
            channel.drain();
        }
    }

    /** Closes; only by the thread that reads, when it reads no more. */
    void close() {
        channel.close();
        Links.releaseInput(channel);
    }
}
