package io.migrationd.migrationd.link;

import io.migrationd.protocol.wire.ChunkSource;
import java.io.IOException;

/**
 * One connection of a migration, with a bounded number of bytes in flight in each direction. One thread writes, one
 * reads; {@link #abort} and {@link #close} may come from any thread and wake both.
 */
public interface MigrationChannel extends AutoCloseable {
    /**
     * What the peer sends. Blocks; ends with {@code null} when the peer has shut its side, fails when the link broke.
     */
    ChunkSource input();

    /** An empty buffer; blocks while all are on their way, at most {@code stall-timeout}. Fails when the link broke. */
    SendBuffer acquire() throws IOException;

    /** Hands a buffer from {@link #acquire} to the socket and forgets it. */
    void send(SendBuffer buffer) throws IOException;

    /** Waits until the socket has taken every byte sent so far. */
    void drain() throws IOException;

    /** Writes few bytes by way of a buffer of its own; thread-safe, for the return path. */
    void writeSmall(byte[] message) throws IOException;

    /** Bytes the socket has taken. */
    long bytesSent();

    /** Bytes handed over so far; those beyond {@link #bytesSent} wait for the socket. */
    long bytesAccepted();

    /** Bytes that came. */
    long bytesReceived();

    /** When the last byte came, of the monotonic clock; the time of the connection before the first. */
    long lastReceivedNanos();

    /**
     * Has {@code told} run once when the peer has ended its side or the link broke; at once if that was before. It must
     * not block: it is called by whoever notices.
     */
    void whenEnded(Runnable told);

    /** Tells the peer that nothing more comes, after all that was sent. */
    void shutdownOutput();

    /** Breaks the connection if not one byte has come within {@code millis} from now. */
    void failIfSilent(long millis);

    /** Breaks the connection if the peer has not ended its direction within {@code millis} from now. */
    void failIfNotEnded(long millis);

    /**
     * From now on little waits ahead of what is written next: at most {@code mostBuffers} are on their way, and the
     * kernel takes no more than it can soon send. For postcopy, where somebody may wait for the next page.
     */
    void keepQueueShort(int mostBuffers);

    /**
     * From now on the peer sends little ahead of who reads here, as far as that costs no throughput: its next page
     * waits behind all that is on its way. For the destination of a postcopy. TCP only.
     */
    default void keepInputShort() {}

    /**
     * From now on whoever reads or writes does so with the socket itself, and no event loop stands between: for
     * postcopy, where every hand-over is on the way of a page that somebody waits for. Blocks until the socket has
     * taken what was sent before; not for an event loop. While nobody reads, the end is noticed for {@link #whenEnded}
     * only. Does nothing where the socket cannot be had.
     */
    default void serveDirectly() throws IOException {}

    /** How long the kernel waits for a peer that does not acknowledge, data or keepalive probes. TCP only. */
    void deadPeerTimeout(long millis);

    /** Breaks the connection at once; readers and writers fail with {@code cause}. The first cause wins. */
    void abort(IOException cause);

    /** Who is at the other end, for messages. */
    String peer();

    /** Closes after what was sent has left, bounded; idempotent. */
    @Override
    void close();
}
