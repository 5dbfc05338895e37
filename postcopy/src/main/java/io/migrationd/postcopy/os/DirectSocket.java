package io.migrationd.postcopy.os;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;

/**
 * A socket that no event loop looks after: whoever reads or writes does so himself, and waits in poll(2). One thread
 * reads, one writes, one looks whether the peer has ended; {@link #stop} wakes both by an eventfd, and the descriptor
 * is closed when neither uses it.
 */
public final class DirectSocket {
    private static final int SOCKET = 0;

    private final int fd;
    private final EventFd doorbell;
    private final PollSet readable;
    private final PollSet writable;
    private final PollSet ended;

    // Guarded by this.
    private int users;
    private boolean stopped;
    private Runnable closer = () -> {};

    /** {@code fd} stays its owner's, who closes it in the closer of {@link #stop}. */
    public DirectSocket(int fd) throws ErrnoException {
        this.fd = fd;
        this.doorbell = EventFd.open();
        this.readable = new PollSet(fd, doorbell.fd());
        this.writable = new PollSet(fd, doorbell.fd());
        writable.setEvents(SOCKET, PollSet.POLLOUT);
        this.ended = new PollSet(fd);
        ended.setEvents(SOCKET, PollSet.POLLRDHUP);
    }

    /** Waits for bytes; 0 when the peer has ended its side or this was stopped. */
    public int receive(MemorySegment into) throws IOException {
        if (!enter()) {
            return 0;
        }
        try {
            while (!isStopped()) {
                readable.poll(-1);
                if (readable.events(SOCKET) != 0) {
                    long count = StreamSocket.receive(fd, into);
                    if (count != StreamSocket.NOT_READY) {
                        return (int) count;
                    }
                }
            }
            return 0;
        } finally {
            leave();
        }
    }

    /**
     * Hands all bytes to the socket.
     *
     * @param taken told of every part the socket has taken
     * @throws IOException also when the peer has taken none for {@code stallTimeoutMillis}, or this was stopped
     */
    public void send(MemorySegment bytes, long length, long stallTimeoutMillis, LongConsumer taken) throws IOException {
        if (!enter()) {
            throw new IOException("the connection was closed");
        }
        try {
            long sent = 0;
            while (sent < length) {
                long count = StreamSocket.send(fd, bytes, sent, length - sent);
                if (count == StreamSocket.NOT_READY) {
                    awaitRoom(stallTimeoutMillis);
                } else {
                    sent += count;
                    taken.accept(count);
                }
            }
        } finally {
            leave();
        }
    }

    /**
     * Whether the peer has ended its side or the connection broke, though nobody reads and its last bytes may be
     * unread. Never waits; one thread.
     */
    public boolean hasPeerEnded() throws IOException {
        if (!enter()) {
            return true;
        }
        try {
            return ended.poll(0) != 0;
        } finally {
            leave();
        }
    }

    private void awaitRoom(long timeoutMillis) throws IOException {
        int patience = (int) Math.min(timeoutMillis, TimeUnit.DAYS.toMillis(1));
        if (writable.poll(patience) == 0) {
            throw new IOException("the peer has taken no data for %d ms".formatted(timeoutMillis));
        }
        if (isStopped()) {
            throw new IOException("the connection was closed");
        }
    }

    /**
     * Ends both directions: whoever reads this socket by any descriptor wakes. Nothing happens to one that was stopped.
     */
    public void shutdown() throws IOException {
        if (!enter()) {
            return;
        }
        try {
            StreamSocket.shutdown(fd);
        } finally {
            leave();
        }
    }

    /**
     * Wakes who waits. {@code whenUnused} runs once, when nobody uses the descriptor any more; the first call counts.
     */
    public void stop(Runnable whenUnused) {
        boolean unused;
        synchronized (this) {
            if (stopped) {
                return;
            }
            stopped = true;
            closer = whenUnused;
            unused = users == 0;
            if (!unused) {
                ring();
            }
        }
        if (unused) {
            end();
        }
    }

    private void ring() {
        try {
            doorbell.signal();
        } catch (ErrnoException e) {
            throw new IllegalStateException("the doorbell of a connection does not ring", e);
        }
    }

    private synchronized boolean isStopped() {
        return stopped;
    }

    private synchronized boolean enter() {
        if (stopped) {
            return false;
        }
        users++;
        return true;
    }

    private void leave() {
        boolean last;
        synchronized (this) {
            users--;
            last = stopped && users == 0;
        }
        if (last) {
            end();
        }
    }

    private void end() {
        doorbell.close();
        closer.run();
    }
}
