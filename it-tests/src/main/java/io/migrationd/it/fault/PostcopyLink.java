package io.migrationd.it.fault;

import io.migrationd.it.fault.Step.Action.Break;
import io.migrationd.it.fault.Step.Action.Run;
import io.migrationd.it.fault.Step.Trigger;
import io.migrationd.it.fault.Step.Trigger.After;
import io.migrationd.it.fault.Step.Trigger.At;
import io.migrationd.it.fault.Step.Trigger.Bytes;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/**
 * A TCP link in front of the destination of one postcopy migration that breaks where its script says: at {@link Place
 * places} of the stream, which it finds in passing, to the byte. It passes all connections on unchanged before and
 * between.
 *
 * <p>One thread moves all bytes. Every method may be called from any other.
 */
public final class PostcopyLink implements AutoCloseable {
    private static final long NEVER = Long.MAX_VALUE;

    private final InetSocketAddress target;
    private final ProxyLoop loop;
    private final CompletableFuture<@Nullable Void> played = new CompletableFuture<>();
    private final List<String> history = new CopyOnWriteArrayList<>();

    // Only the thread touches these.
    private final PageTally tally = new PageTally();
    private final List<LinkConnection> connections = new ArrayList<>();
    private final List<SocketChannel> waiting = new ArrayList<>();
    private final Deque<Step> script;
    private final Set<Place> places = EnumSet.noneOf(Place.class);
    private Optional<Newcomers> barrier = Optional.empty();
    private boolean broken;
    private boolean connectedBefore;
    private long healAtNanos = NEVER;
    private long startNanos;
    private long stepNanos = NEVER;
    private long goneForward;
    private long goneReverse;
    private long stepForward;
    private long stepReverse;

    private PostcopyLink(String name, InetSocketAddress target, List<Step> script) throws IOException {
        this.target = target;
        this.script = new ArrayDeque<>(script);
        if (script.isEmpty()) {
            played.complete(null);
        }
        loop = new ProxyLoop(name, new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), new Passing());
    }

    /** Listens at a free port of the loopback interface. */
    public static PostcopyLink start(String name, InetSocketAddress target, List<Step> script) throws IOException {
        var link = new PostcopyLink(name, target, script);
        link.loop.start();
        return link;
    }

    /** Where to connect to. */
    public InetSocketAddress address() {
        return (InetSocketAddress) loop.address();
    }

    /** Completed when the last step has happened. */
    public CompletableFuture<@Nullable Void> played() {
        return played;
    }

    /** Whether all bytes before that place have been handed to the receiving socket. */
    public boolean hasPassed(Place place) {
        boolean[] answer = {false};
        loop.perform(() -> answer[0] = places.contains(place));
        return answer[0];
    }

    /** What happened, with milliseconds since the first connection: connections, places that come once, steps. */
    public List<String> history() {
        loop.settle();
        return List.copyOf(history);
    }

    /** Ends silences and refusals now. Steps that have not happened still will. */
    public void heal() {
        loop.perform(this::healNow);
    }

    /** Ends silences and refusals now, and nothing happens any more. */
    public void retire() {
        loop.perform(() -> {
            script.clear();
            healNow();
        });
    }

    /** Closes all sockets and joins the thread. */
    @Override
    public void close() throws IOException {
        loop.close();
    }

    private final class Passing implements ProxyLoop.Traffic {
        @Override
        public void accepted(SocketChannel client) throws IOException {
            accept(client);
        }

        @Override
        public long move(long nowNanos) throws IOException {
            return moveAll(nowNanos);
        }

        @Override
        public void ended() throws IOException {
            for (LinkConnection connection : connections) {
                connection.proxied().close();
            }
            for (SocketChannel client : waiting) {
                client.close();
            }
            played.cancel(false);
        }
    }

    private void accept(SocketChannel client) throws IOException {
        if (!connectedBefore) {
            connectedBefore = true;
            startNanos = System.nanoTime();
            stepNanos = startNanos;
        }
        if (barrier.isEmpty()) {
            connect(client);
        } else if (barrier.get() == Newcomers.SILENT) {
            say("connection waits");
            waiting.add(client);
        } else {
            say("connection refused");
            refuse(client);
        }
    }

    private void connect(SocketChannel client) throws IOException {
        SocketChannel server;
        try {
            server = SocketChannel.open(target);
        } catch (IOException nobodyListens) {
            say("nobody listens");
            refuse(client);
            return;
        }
        boolean second = !broken && connections.size() == 1;
        var connection = new LinkConnection(client, server, tally, connections.isEmpty(), loop.selector());
        connections.add(connection);
        say("connection " + (second ? "beside the first" : "made"));
        if (second) {
            reached(new Mark(Place.PREEMPT_CONNECTED, tally.next(Place.PREEMPT_CONNECTED), 0));
        }
        limitAll();
    }

    private static void refuse(SocketChannel client) throws IOException {
        ProxiedConnection.resetOnClose(client);
        client.close();
    }

    private long moveAll(long nowNanos) throws IOException {
        runTimers(nowNanos);
        long wait;
        do {
            limitAll();
            wait = HalfLink.IDLE;
            for (LinkConnection connection : connections) {
                wait = Math.min(wait, connection.proxied().write(nowNanos));
            }
        } while (arrive());
        forgetClosed();
        return Math.min(wait, timerWait(nowNanos));
    }

    /** Sees to what the bytes that have passed have reached; true if more may pass now. */
    private boolean arrive() throws IOException {
        boolean any = false;
        for (LinkConnection connection : List.copyOf(connections)) {
            for (Mark mark = connection.pollDue(); mark != null; mark = connection.pollDue()) {
                reached(mark);
                any = true;
            }
        }
        if (bytesLeft(Direction.FORWARD) == 0 || bytesLeft(Direction.REVERSE) == 0) {
            happen();
            any = true;
        }
        return any;
    }

    private void reached(Mark mark) throws IOException {
        places.add(mark.place());
        if (mark.ordinal() == 1) {
            say(mark.place().toString());
        }
        if (awaited() instanceof At(var place, int ordinal) && place == mark.place() && ordinal == mark.ordinal()) {
            happen();
        }
    }

    /** What the next step waits for. */
    private @Nullable Trigger awaited() {
        Step next = script.peek();
        return next == null ? null : next.trigger();
    }

    private void happen() throws IOException {
        Step step = script.remove();
        say("happens: " + step);
        switch (step.action()) {
            case Break fault -> breakNow(fault);
            case Run run -> run.action().run();
        }
        broken = true;
        stepNanos = System.nanoTime();
        stepForward = total(Direction.FORWARD);
        stepReverse = total(Direction.REVERSE);
        if (script.isEmpty()) {
            played.complete(null);
        }
    }

    private void breakNow(Break fault) throws IOException {
        for (LinkConnection connection : List.copyOf(connections)) {
            if (connection.isOf(fault.scope())) {
                connection.cut(fault.cut());
            }
        }
        if (fault.cut() == Cut.RESET) {
            loop.letGoOfClosed();
        }
        boolean lasts = !fault.heal().isZero();
        if (lasts) {
            healAtNanos = System.nanoTime() + fault.heal().toNanos();
        }
        if (lasts && fault.scope() == Scope.ALL) {
            barrier = Optional.of(fault.newcomers());
        }
    }

    private void healNow() throws IOException {
        say("healed");
        healAtNanos = NEVER;
        barrier = Optional.empty();
        connections.forEach(LinkConnection::heal);
        List<SocketChannel> clients = List.copyOf(waiting);
        waiting.clear();
        for (SocketChannel client : clients) {
            connect(client);
        }
    }

    private void runTimers(long nowNanos) throws IOException {
        if (nowNanos >= healAtNanos) {
            healNow();
        }
        while (nowNanos >= dueNanos()) {
            happen();
        }
    }

    private long timerWait(long nowNanos) {
        long due = Math.min(healAtNanos, dueNanos());
        return due == NEVER ? HalfLink.IDLE : Math.max(1, due - nowNanos);
    }

    private long dueNanos() {
        return connectedBefore && awaited() instanceof After(var delay) ? stepNanos + delay.toNanos() : NEVER;
    }

    /** How many bytes may pass before the next step happens. */
    private long bytesLeft(Direction direction) {
        if (connectedBefore && awaited() instanceof Bytes(var wanted, long count) && wanted == direction) {
            long start = direction == Direction.FORWARD ? stepForward : stepReverse;
            return Math.max(0, count - (total(direction) - start));
        }
        return NEVER;
    }

    private long total(Direction direction) {
        long gone = direction == Direction.FORWARD ? goneForward : goneReverse;
        return gone
                + connections.stream()
                        .mapToLong(connection -> connection.lane(direction).bytes())
                        .sum();
    }

    private void limitAll() {
        for (Direction direction : Direction.values()) {
            long left = bytesLeft(direction);
            connections.forEach(connection -> connection.limit(direction, left));
        }
    }

    private void forgetClosed() {
        for (LinkConnection connection : connections) {
            if (!connection.proxied().isOpen()) {
                goneForward += connection.lane(Direction.FORWARD).bytes();
                goneReverse += connection.lane(Direction.REVERSE).bytes();
                say(connection + " is gone");
                broken = true;
            }
        }
        connections.removeIf(connection -> !connection.proxied().isOpen());
    }

    private void say(String what) {
        history.add(String.format(Locale.ROOT, "%.1f ms %s", (System.nanoTime() - startNanos) / 1e6, what));
    }
}
