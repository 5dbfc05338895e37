package io.migrationd.migrationd.qmp;

import java.io.IOException;
import java.io.InputStream;

/** The socket of a QMP connection. One thread opens and reads; one at a time writes; any closes, which wakes both. */
interface QmpWire extends AutoCloseable {
    /** Connects, if it is not connected yet. */
    void open() throws IOException;

    /** What comes, once it is open. */
    InputStream input();

    /** Writes all. */
    void write(byte[] bytes) throws IOException;

    @Override
    void close() throws IOException;
}
