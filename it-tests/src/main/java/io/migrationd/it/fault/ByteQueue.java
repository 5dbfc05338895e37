package io.migrationd.it.fault;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Queue;

/** Bytes between a thread that reads and one that writes. */
final class ByteQueue {
    private final long capacityBytes;

    // All below: guarded by this.
    private final Queue<ByteBuffer> chunks = new ArrayDeque<>();
    private long queuedBytes;
    private boolean ended;

    ByteQueue(long capacityBytes) {
        this.capacityBytes = capacityBytes;
    }

    /** Waits until there is room. What comes after the end is dropped. */
    synchronized void put(ByteBuffer bytes) throws InterruptedException {
        while (queuedBytes >= capacityBytes && !ended) {
            wait();
        }
        if (!ended) {
            chunks.add(bytes);
            queuedBytes += bytes.remaining();
            notifyAll();
        }
    }

    /** Nothing more will come. */
    synchronized void end() {
        ended = true;
        notifyAll();
    }

    /** Whether {@link #end} was called. */
    synchronized boolean isEnded() {
        return ended;
    }

    /** Bytes that wait. */
    synchronized long queuedBytes() {
        return queuedBytes;
    }

    /** Waits for the next bytes, at most {@code maxBytes}; none at the end. They still count as queued. */
    synchronized ByteBuffer peek(int maxBytes) throws InterruptedException {
        while (chunks.isEmpty() && !ended) {
            wait();
        }
        ByteBuffer all = ByteBuffer.allocate((int) Math.min(maxBytes, queuedBytes));
        for (ByteBuffer chunk : chunks) {
            all.put(chunk.slice(chunk.position(), Math.min(chunk.remaining(), all.remaining())));
        }
        return all.flip();
    }

    /** The first bytes have gone. */
    synchronized void remove(int count) {
        int left = count;
        while (left > 0) {
            ByteBuffer head = chunks.element();
            int taken = Math.min(left, head.remaining());
            head.position(head.position() + taken);
            if (!head.hasRemaining()) {
                chunks.remove();
            }
            left -= taken;
        }
        queuedBytes -= count;
        notifyAll();
    }
}
