package io.migrationd.returnpath;

import io.migrationd.protocol.wire.ChunkSource;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.jspecify.annotations.Nullable;

/** One direction of a connection: written at one end, read at the other. Closing it fails the reader. */
final class InMemoryPipe implements ChunkSource, ReturnPathSender.Outbound, Closeable {
    private sealed interface Item {
        record Bytes(byte[] bytes) implements Item {}

        record End() implements Item {}

        record Failure(IOException cause) implements Item {}
    }

    private final BlockingQueue<Item> items = new LinkedBlockingQueue<>();

    @Override
    public void write(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        items.add(new Item.Bytes(copy));
    }

    /** The peer has closed: the reader sees the end of input. */
    void end() {
        items.add(new Item.End());
    }

    /** The connection breaks: the reader gets {@code cause}. */
    void fail(IOException cause) {
        items.add(new Item.Failure(cause));
    }

    @Override
    public void close() {
        fail(new AsynchronousCloseException());
    }

    @Override
    public @Nullable ByteBuffer next() throws IOException {
        try {
            return switch (items.take()) {
                case Item.Bytes(byte[] bytes) -> ByteBuffer.wrap(bytes);
                case Item.End() -> null;
                case Item.Failure(IOException cause) -> throw cause;
            };
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw (InterruptedIOException) new InterruptedIOException().initCause(e);
        }
    }
}
