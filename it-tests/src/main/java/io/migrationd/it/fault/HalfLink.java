package io.migrationd.it.fault;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.util.ArrayDeque;
import java.util.Optional;
import java.util.Queue;
import java.util.function.Consumer;

/** One direction of one connection: reads from one end, keeps for the delay, writes to the other. */
final class HalfLink implements Closeable {
    /** Nothing to do until a socket is ready. */
    static final long IDLE = Long.MAX_VALUE;

    private record Chunk(ByteBuffer bytes, long dueNanos) {}

    private final SocketChannel from;
    private final SocketChannel to;
    private final Lane lane;
    private final Optional<WritableByteChannel> capture;
    private final Consumer<ByteBuffer> tap;

    private final Queue<Chunk> queue = new ArrayDeque<>();
    private int queuedBytes;
    private boolean fromEnded;
    private boolean toEnded;
    private boolean waitsForRoom;

    HalfLink(SocketChannel from, SocketChannel to, Lane lane, Optional<WritableByteChannel> capture) {
        this(from, to, lane, capture, _ -> {});
    }

    /** {@code tap} sees all bytes in order, as they are taken and before any of them passes. */
    HalfLink(
            SocketChannel from,
            SocketChannel to,
            Lane lane,
            Optional<WritableByteChannel> capture,
            Consumer<ByteBuffer> tap) {
        this.from = from;
        this.to = to;
        this.lane = lane;
        this.capture = capture;
        this.tap = tap;
    }

    boolean wantsToRead() {
        return !fromEnded && (toEnded || (!lane.isSilent() && queuedBytes < lane.queueBytes()));
    }

    boolean wantsToWrite() {
        return waitsForRoom;
    }

    boolean isDone() {
        return fromEnded && toEnded;
    }

    /** Takes what there is; {@code scratch} is only used within the call. */
    void read(ByteBuffer scratch, long nowNanos) throws IOException {
        scratch.clear();
        int count = from.read(scratch);
        if (count < 0) {
            fromEnded = true;
        } else if (count > 0 && !toEnded) {
            ByteBuffer copy = ByteBuffer.allocate(count).put(scratch.flip()).flip();
            tap.accept(copy.asReadOnlyBuffer());
            queue.add(new Chunk(copy, nowNanos + lane.delayNanos()));
            queuedBytes += count;
        }
    }

    /** Writes what is due and returns how long the rest has to wait, or {@link #IDLE}. */
    long write(long nowNanos) throws IOException {
        waitsForRoom = false;
        while (!lane.isSilent() && !queue.isEmpty()) {
            Chunk head = queue.element();
            long wait = Math.max(head.dueNanos - nowNanos, lane.waitNanos(nowNanos));
            if (wait > 0) {
                return wait;
            }
            int allowed = Math.min(lane.allowance(), head.bytes.remaining());
            if (pass(head.bytes, allowed, nowNanos) < allowed) {
                waitsForRoom = true;
                return IDLE;
            }
            if (lane.isCutDue()) {
                return IDLE;
            }
            if (!head.bytes.hasRemaining()) {
                queue.remove();
            }
        }
        if (fromEnded && !lane.isSilent() && queue.isEmpty()) {
            endOutput();
        }
        return IDLE;
    }

    /** The receiver sees the end of input; what the sender still sends is dropped. */
    void endOutput() throws IOException {
        queue.clear();
        queuedBytes = 0;
        waitsForRoom = false;
        if (!toEnded) {
            toEnded = true;
            to.shutdownOutput();
        }
    }

    private int pass(ByteBuffer bytes, int allowed, long nowNanos) throws IOException {
        int start = bytes.position();
        int count = to.write(bytes.slice(start, allowed));
        if (capture.isPresent()) {
            ByteBuffer passed = bytes.slice(start, count);
            while (passed.hasRemaining()) {
                capture.get().write(passed);
            }
        }
        bytes.position(start + count);
        queuedBytes -= count;
        lane.passed(count, nowNanos);
        return count;
    }

    @Override
    public void close() throws IOException {
        if (capture.isPresent()) {
            capture.get().close();
        }
    }
}
