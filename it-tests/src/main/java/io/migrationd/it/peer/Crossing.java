package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.file.Path;

/**
 * How the bytes of a migration get from the source's Unix socket to the destination's: a relay of the tests, or two
 * daemons. The source is told to migrate to {@link #sourceEnd()}.
 */
public interface Crossing extends AutoCloseable {
    /** Makes one. */
    @FunctionalInterface
    interface Maker {
        /** Carries what is sent to {@code sourceEnd}, where nothing listens yet, to {@code destinationEnd}. */
        Crossing between(Path sourceEnd, Path destinationEnd) throws Exception;
    }

    /** The socket that the source connects to; it listens. */
    Path sourceEnd();

    /** What happened, for messages. */
    String facts();

    @Override
    void close() throws IOException;
}
