package io.migrationd.migrationd.link;

import io.migrationd.protocol.wire.ChunkSource;
import io.netty.buffer.ByteBuf;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * What was received. Buffers on their way from the event loop to the reading thread. When more than {@link #HIGH_BYTES}
 * wait, the socket is no longer read until less than {@link #LOW_BYTES} do: a slow reader slows the peer. Once there is
 * a {@link DirectInput} and the queue is empty, the reading thread reads the socket itself.
 */
final class ReceiveQueue implements ChunkSource {
    private static final int HIGH_BYTES = 2 * 1024 * 1024;
    private static final int LOW_BYTES = 1024 * 1024;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // All guarded by lock, but for current, which belongs to the reading thread.
    private final ArrayDeque<ByteBuf> queue = new ArrayDeque<>();
    private final Runnable resumeReading;
    private long queuedBytes;
    private long receivedBytes;
    private long lastReceivedNanos = System.nanoTime();
    private boolean paused;
    private boolean ended;
    private boolean closed;
    private boolean dropped;
    private @Nullable IOException failure;
    private @Nullable Runnable whenEnded;
    private @Nullable DirectInput direct;
    /** The reading thread waits in {@link #direct}. */
    private boolean waiting;

    private @Nullable ByteBuf current;

    /** A socket that is read by the reading thread. */
    @FunctionalInterface
    interface DirectInput {
        /** Waits for bytes; {@code null} when no more come. They are the reader's until the next call. */
        @Nullable
        ByteBuffer receive() throws IOException;
    }

    ReceiveQueue(Runnable resumeReading) {
        this.resumeReading = resumeReading;
    }

    /** Event loop: takes ownership of {@code buffer}; says whether to go on reading. */
    boolean offer(ByteBuf buffer) {
        lock.lock();
        try {
            if (closed || dropped) {
                buffer.release();
                return false;
            }
            receivedBytes += buffer.readableBytes();
            lastReceivedNanos = System.nanoTime();
            queuedBytes += buffer.readableBytes();
            queue.add(buffer);
            changed.signalAll();
            // A buffer that was on its way when reading stopped does not end the pause: only the reader does.
            paused |= queuedBytes > HIGH_BYTES;
            return !paused;
        } finally {
            lock.unlock();
        }
    }

    /** The event loop brings nothing any more: what comes behind the queued buffers comes from {@code input}. */
    void readDirectly(DirectInput input) {
        lock.lock();
        try {
            direct = input;
            paused = false;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** No more will come: the peer ended its side, or {@code cause}. What is queued can still be read. */
    void end(@Nullable IOException cause) {
        lock.lock();
        try {
            if (!ended && failure == null) {
                failure = cause;
            }
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        tellEnded();
    }

    /** {@code told} runs once, without the lock, when nothing more can come. */
    void whenEnded(Runnable told) {
        lock.lock();
        try {
            whenEnded = told;
            if (!ended) {
                return;
            }
        } finally {
            lock.unlock();
        }
        tellEnded();
    }

    /** Somebody still has to be told. */
    boolean isEndAwaited() {
        lock.lock();
        try {
            return whenEnded != null;
        } finally {
            lock.unlock();
        }
    }

    /** The peer is known to have ended; what it sent before can still be read. */
    void tellEnded() {
        Runnable told;
        lock.lock();
        try {
            told = whenEnded;
            whenEnded = null;
        } finally {
            lock.unlock();
        }
        if (told != null) {
            told.run();
        }
    }

    /** Drops what is queued; the reader fails with {@code cause}. */
    void fail(IOException cause) {
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
            ended = true;
            // What the event loop still brings lies behind the gap.
            dropped = true;
            releaseQueued();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        tellEnded();
    }

    boolean isEnded() {
        lock.lock();
        try {
            return ended;
        } finally {
            lock.unlock();
        }
    }

    long receivedBytes() {
        lock.lock();
        try {
            return receivedBytes;
        } finally {
            lock.unlock();
        }
    }

    /**
     * While a slow reader keeps us from the socket, nobody can tell when the peer was last heard: now. The same while
     * the thread that reads the socket itself is busy.
     */
    long lastReceivedNanos() {
        lock.lock();
        try {
            return paused || (direct != null && !waiting && !ended) ? System.nanoTime() : lastReceivedNanos;
        } finally {
            lock.unlock();
        }
    }

    @Override
    public @Nullable ByteBuffer next() throws IOException {
        if (current != null) {
            current.release();
            current = null;
        }
        while (true) {
            DirectInput input = awaitInput();
            if (input == null) {
                return nextQueued();
            }
            ByteBuffer bytes = receive(input);
            if (bytes != null) {
                return bytes;
            }
        }
    }

    /** Waits until something is queued, or nothing more will be: then the socket to read, if it still can be read. */
    private @Nullable DirectInput awaitInput() throws IOException {
        lock.lock();
        try {
            while (queue.isEmpty() && !ended && direct == null) {
                changed.await();
            }
            if (!queue.isEmpty() || ended) {
                return null;
            }
            waiting = true;
            // What came while we were busy has not been looked at: the silence begins now.
            lastReceivedNanos = System.nanoTime();
            return direct;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while reading the stream");
        } finally {
            lock.unlock();
        }
    }

    private @Nullable ByteBuffer nextQueued() throws IOException {
        ByteBuf next;
        boolean resume = false;
        lock.lock();
        try {
            if (queue.isEmpty()) {
                if (failure != null) {
                    throw new IOException("no more comes from the peer", failure);
                }
                return null;
            }
            next = queue.remove();
            queuedBytes -= next.readableBytes();
            if (paused && queuedBytes < LOW_BYTES) {
                paused = false;
                resume = true;
            }
        } finally {
            lock.unlock();
        }
        if (resume) {
            resumeReading.run();
        }
        current = next;
        return next.nioBuffer();
    }

    private @Nullable ByteBuffer receive(DirectInput input) {
        ByteBuffer bytes = null;
        IOException broken = null;
        try {
            bytes = input.receive();
        } catch (IOException e) {
            broken = e;
        }
        lock.lock();
        try {
            waiting = false;
            if (closed || dropped) {
                bytes = null;
            } else if (bytes != null) {
                receivedBytes += bytes.remaining();
                lastReceivedNanos = System.nanoTime();
            }
        } finally {
            lock.unlock();
        }
        if (bytes == null) {
            end(broken);
        }
        return bytes;
    }

    /** After the reading thread has ended: gives all memory back. */
    void close() {
        lock.lock();
        try {
            closed = true;
            ended = true;
            releaseQueued();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (current != null) {
            current.release();
            current = null;
        }
    }

    private void releaseQueued() {
        queue.forEach(ByteBuf::release);
        queue.clear();
        queuedBytes = 0;
    }
}
