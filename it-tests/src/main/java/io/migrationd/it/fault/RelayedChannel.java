package io.migrationd.it.fault;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/**
 * One connection of a {@link ScriptedRelay}. Three threads: one reads from the source, one connects to the destination
 * and writes to it, one carries the return path. The first that fails ends all three.
 */
final class RelayedChannel {
    /** What it takes to know the kind of a connection. */
    static final int KIND_BYTES = 4;

    private static final int CHUNK_BYTES = 64 << 10;
    private static final int MAIN_MAGIC = 0x5145564D;
    private static final byte COMMAND = 0x08;
    private static final int PONG_BYTES = 8;
    private static final int HEAD_BYTES = 4;

    private final ScriptedRelay relay;
    private final int number;
    private final SocketChannel client;
    private final ByteQueue forward;
    private final Queue<Mark> marks = new ArrayDeque<>();
    private final ReturnPathScanner scanner = new ReturnPathScanner(new PageTally(), marks::add);

    // Guarded by the relay.
    private @Nullable SocketChannel server;
    private boolean reverseCut;
    private boolean closed;

    /** Only the return path's thread touches it. */
    private boolean shutSeen;

    RelayedChannel(ScriptedRelay relay, int number, SocketChannel client) {
        this.relay = relay;
        this.number = number;
        this.client = client;
        this.forward = new ByteQueue(relay.conduct().queueBytes());
    }

    void start() {
        relay.thread("read-" + number, this::readForward, this::close);
        relay.thread("write-" + number, this::writeForward, this::close);
    }

    int number() {
        return number;
    }

    boolean hasFirstBytes() {
        return forward.queuedBytes() >= KIND_BYTES;
    }

    /** What the source says that it is, or empty bytes: the first of its connections. */
    boolean isMain() throws InterruptedException {
        if (!hasFirstBytes()) {
            return number == 0;
        }
        ByteBuffer first = forward.peek(KIND_BYTES);
        return first.getInt(0) == MAIN_MAGIC || first.get(0) == COMMAND;
    }

    /** Whether it was closed. */
    boolean isOver() {
        synchronized (relay) {
            return closed;
        }
    }

    /** Whether the source has ended it and left nothing behind. */
    boolean isFinished() {
        return forward.isEnded() && forward.queuedBytes() == 0;
    }

    private void readForward() throws IOException, InterruptedException {
        try {
            ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES);
            while (client.read(chunk) >= 0) {
                forward.put(chunk.flip());
                relay.changed();
                chunk = ByteBuffer.allocate(CHUNK_BYTES);
            }
        } finally {
            forward.end();
            relay.changed();
        }
    }

    private void writeForward() throws IOException, InterruptedException {
        if (!relay.awaitTurn(this)) {
            relay.say("connection %d ended before the destination heard of it".formatted(number));
            close();
            return;
        }
        SocketChannel connected = relay.connect(this);
        if (!adopt(connected)) {
            connected.close();
            return;
        }
        relay.thread("back-" + number, () -> carryBack(connected), this::close);
        boolean announced = false;
        for (ByteBuffer next = nextForward(); next.hasRemaining(); next = nextForward()) {
            int count = next.remaining();
            while (next.hasRemaining()) {
                connected.write(next);
            }
            forward.remove(count);
            relay.delivered(Direction.FORWARD, count);
            if (!announced) {
                announced = true;
                relay.started(this);
            }
        }
        connected.shutdownOutput();
    }

    private boolean adopt(SocketChannel connected) {
        synchronized (relay) {
            server = connected;
            return !closed;
        }
    }

    /** What may be written now: the first bytes in one go. */
    private ByteBuffer nextForward() throws InterruptedException {
        forward.peek(1);
        relay.awaitNoStall(Direction.FORWARD, this);
        int allowed = relay.awaitAllowance();
        return forward.peek(Math.max(allowed, KIND_BYTES));
    }

    private void carryBack(SocketChannel connected) throws IOException, InterruptedException {
        ByteBuffer chunk = ByteBuffer.allocate(CHUNK_BYTES);
        long passed = 0;
        while (connected.read(chunk) >= 0) {
            chunk.flip();
            scanner.scan(chunk.duplicate());
            for (Mark mark = marks.poll(); mark != null; mark = marks.poll()) {
                if (isToStop(mark)) {
                    int before = (int) Math.max(0, start(mark) - passed);
                    passed += writeBack(chunk, before);
                    relay.reachedStop(this, mark.place());
                }
                shutSeen |= mark.place() == Place.SHUT;
            }
            relay.awaitNoStall(Direction.REVERSE, this);
            passed += writeBack(chunk, chunk.remaining());
            chunk.clear();
        }
        if (relay.conduct().diesTogether() && !shutSeen) {
            relay.say("connection %d: the destination has hung up".formatted(number));
            close();
        } else {
            client.shutdownOutput();
        }
    }

    private boolean isToStop(Mark mark) {
        return relay.conduct()
                .stopsBefore()
                .filter(place -> place == mark.place())
                .isPresent();
    }

    /** Marks lie behind their messages. */
    private static long start(Mark mark) {
        return mark.offset() - (mark.place() == Place.SHUT ? HEAD_BYTES + Integer.BYTES : PONG_BYTES);
    }

    private int writeBack(ByteBuffer bytes, int count) throws IOException {
        ByteBuffer part = bytes.slice(bytes.position(), count);
        bytes.position(bytes.position() + count);
        while (part.hasRemaining() && !isReverseCut()) {
            relay.delivered(Direction.REVERSE, client.write(part));
        }
        return count;
    }

    private boolean isReverseCut() {
        synchronized (relay) {
            return reverseCut;
        }
    }

    /** The source sees the end of its return path; what the destination still says is dropped. */
    void cutReverse() throws IOException {
        if (relay.conduct().diesTogether()) {
            close();
            return;
        }
        synchronized (relay) {
            reverseCut = true;
        }
        client.shutdownOutput();
    }

    /** Ends everything. Both ends see it at once. */
    void close() {
        SocketChannel connected;
        synchronized (relay) {
            closed = true;
            connected = server;
        }
        forward.end();
        relay.changed();
        try {
            client.close();
            if (connected != null) {
                connected.close();
            }
        } catch (IOException e) {
            relay.say("connection %d did not close: %s".formatted(number, e));
        }
    }
}
