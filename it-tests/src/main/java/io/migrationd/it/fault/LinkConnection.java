package io.migrationd.it.fault;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.EnumMap;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import org.jspecify.annotations.Nullable;

/**
 * One connection of a {@link PostcopyLink}: what it is, and the places that lie ahead. Only the link's thread uses it.
 */
final class LinkConnection {
    private static final byte MAGIC_START = 0x51;
    private static final byte COMMAND = 0x08;

    private enum Kind {
        UNKNOWN,
        MAIN,
        RECOVERY,
        PREEMPT
    }

    private final PageTally tally;
    private final boolean alone;
    private final Map<Direction, Lane> lanes = new EnumMap<>(Direction.class);
    private final Map<Direction, Queue<Mark>> marks = new EnumMap<>(Direction.class);
    private final ProxiedConnection proxied;
    private Kind kind = Kind.UNKNOWN;
    private @Nullable ByteScanner forward;
    private @Nullable ByteScanner reverse;

    /** {@code alone}: there is no other connection of this migration. */
    LinkConnection(SocketChannel client, SocketChannel server, PageTally tally, boolean alone, Selector selector)
            throws IOException {
        this.tally = tally;
        this.alone = alone;
        for (Direction direction : Direction.values()) {
            lanes.put(direction, new Lane());
            marks.put(direction, new ArrayDeque<>());
        }
        proxied = new ProxiedConnection(
                client,
                server,
                new HalfLink(client, server, lane(Direction.FORWARD), Optional.empty(), this::scanForward),
                new HalfLink(server, client, lane(Direction.REVERSE), Optional.empty(), this::scanReverse),
                selector);
    }

    ProxiedConnection proxied() {
        return proxied;
    }

    Lane lane(Direction direction) {
        Lane lane = lanes.get(direction);
        if (lane == null) {
            throw new AssertionError(direction);
        }
        return lane;
    }

    private Queue<Mark> marks(Direction direction) {
        Queue<Mark> queue = marks.get(direction);
        if (queue == null) {
            throw new AssertionError(direction);
        }
        return queue;
    }

    private void scanForward(ByteBuffer bytes) {
        if (forward == null) {
            forward = recognize(bytes.get(bytes.position()));
        }
        forward.scan(bytes);
    }

    private ByteScanner recognize(byte first) {
        Queue<Mark> ahead = marks(Direction.FORWARD);
        kind = switch (first) {
            case MAGIC_START -> Kind.MAIN;
            case COMMAND -> Kind.RECOVERY;
            default -> Kind.PREEMPT;
        };
        return switch (kind) {
            case MAIN -> MainScanner.ofFirst(tally, ahead::add);
            case RECOVERY -> MainScanner.ofRecovery(tally, ahead::add);
            default -> new PreemptScanner(tally, ahead::add);
        };
    }

    private void scanReverse(ByteBuffer bytes) {
        if (reverse == null) {
            reverse = new ReturnPathScanner(tally, marks(Direction.REVERSE)::add);
        }
        reverse.scan(bytes);
    }

    /** The next place that has been reached. */
    @Nullable
    Mark pollDue() {
        for (Direction direction : Direction.values()) {
            Mark next = marks(direction).peek();
            if (next != null && next.offset() <= lane(direction).bytes()) {
                return marks(direction).remove();
            }
        }
        return null;
    }

    /** No byte passes beyond the next place, nor more than {@code left}. */
    void limit(Direction direction, long left) {
        Lane lane = lane(direction);
        Mark next = marks(direction).peek();
        long limit = next == null ? Lane.NEVER : next.offset();
        lane.cutAt(left == Lane.NEVER ? limit : Math.min(limit, lane.bytes() + left));
    }

    boolean isOf(Scope scope) {
        return switch (scope) {
            case ALL -> true;
            case MAIN -> isMain();
            case PREEMPT -> !isMain();
        };
    }

    /** A silent connection beside another one is a preempt channel. */
    private boolean isMain() {
        return kind == Kind.MAIN || kind == Kind.RECOVERY || (kind == Kind.UNKNOWN && alone);
    }

    void cut(Cut cut) throws IOException {
        switch (cut) {
            case RESET -> proxied.reset();
            case FIN -> proxied.finish(Direction.FORWARD, Direction.REVERSE);
            case FIN_FORWARD -> proxied.finish(Direction.FORWARD);
            case FIN_REVERSE -> proxied.finish(Direction.REVERSE);
            case SILENCE -> {
                lane(Direction.FORWARD).silence(true);
                lane(Direction.REVERSE).silence(true);
            }
            case SILENCE_FORWARD -> lane(Direction.FORWARD).silence(true);
            case SILENCE_REVERSE -> lane(Direction.REVERSE).silence(true);
        }
    }

    /** Ends silences. */
    void heal() {
        lanes.values().forEach(lane -> lane.silence(false));
    }

    @Override
    public String toString() {
        return "%s connection, %d bytes forward, %d back,"
                .formatted(
                        kind,
                        lane(Direction.FORWARD).bytes(),
                        lane(Direction.REVERSE).bytes());
    }
}
