package io.migrationd.it.fault;

import java.io.IOException;
import java.net.SocketAddress;
import java.nio.channels.FileChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import org.jspecify.annotations.Nullable;

/**
 * A link between two ends, TCP or Unix sockets in any pairing, that a test can break. It passes bytes and half-closes
 * on as they are, a reset as a reset. Counts, rates, delays and cuts are those of the link: of all connections
 * together, also of later ones.
 *
 * <p>One thread, {@code link-proxy-<name>}, moves all bytes. Every method may be called from any other thread and has
 * taken effect when it returns.
 */
public final class LinkProxy implements AutoCloseable {
    private record ArmedCut(Direction direction, Cut cut, CompletableFuture<@Nullable Void> done) {}

    private final Optional<Path> captureDirectory;
    private final Map<Direction, Lane> lanes = new EnumMap<>(Direction.class);
    private final ProxyLoop loop;

    // Only the thread touches these.
    private final List<ProxiedConnection> connections = new ArrayList<>();
    private SocketAddress target;
    private Optional<ArmedCut> armed = Optional.empty();
    private boolean refusing;

    /** Written by the thread only, read by any. */
    private volatile int connectionCount;

    private LinkProxy(String name, SocketAddress listen, SocketAddress target, Optional<Path> captureDirectory)
            throws IOException {
        this.captureDirectory = captureDirectory;
        this.target = target;
        for (Direction direction : Direction.values()) {
            lanes.put(direction, new Lane());
        }
        loop = new ProxyLoop(name, listen, new Passing());
    }

    /** What the thread asks for. */
    private final class Passing implements ProxyLoop.Traffic {
        @Override
        public void accepted(SocketChannel client) throws IOException {
            accept(client);
        }

        @Override
        public long move(long nowNanos) throws IOException {
            long wait = writeAll(nowNanos);
            if (isCutDue()) {
                cutArmed();
                wait = writeAll(System.nanoTime());
            }
            return wait;
        }

        @Override
        public void ended() throws IOException {
            disarm();
            for (ProxiedConnection connection : connections) {
                connection.close();
            }
        }
    }

    /**
     * Listens; each accepted connection is one to {@code target}.
     *
     * @param listen port 0 takes a free one, see {@link #address()}; a Unix socket's file is removed by {@link #close}
     */
    public static LinkProxy start(String name, SocketAddress listen, SocketAddress target) throws IOException {
        return start(name, listen, target, Optional.empty());
    }

    /** As the other, and writes what passes through connection N, from 0 on, to {@code N.fwd} and {@code N.rev}. */
    public static LinkProxy start(String name, SocketAddress listen, SocketAddress target, Path captureDirectory)
            throws IOException {
        return start(name, listen, target, Optional.of(captureDirectory));
    }

    private static LinkProxy start(
            String name, SocketAddress listen, SocketAddress target, Optional<Path> captureDirectory)
            throws IOException {
        var proxy = new LinkProxy(name, listen, target, captureDirectory);
        proxy.loop.start();
        return proxy;
    }

    /** Where to connect to. */
    public SocketAddress address() {
        return loop.address();
    }

    /** Bytes that were handed to the receiving socket since the start, all that an end has read among them. */
    public long bytes(Direction direction) {
        loop.settle();
        return lane(direction).bytes();
    }

    /** Connections that were made to a target since the start. */
    public int connectionCount() {
        loop.settle();
        return connectionCount;
    }

    /** Connections accepted from now on go to {@code address}. */
    public void retarget(SocketAddress newTarget) {
        loop.perform(() -> target = newTarget);
    }

    /** Breaks all connections now. RESET and FIN leave later connections alone, a silence is theirs too. */
    public void cut(Cut cut) {
        loop.perform(() -> cutNow(cut));
    }

    /**
     * Breaks all connections as soon as {@link #bytes} of {@code direction} has reached {@code totalBytes}; not one
     * byte more passes. Replaces an earlier one that has not come to pass.
     *
     * @return completed when it was done, cancelled when it never will be
     */
    public CompletableFuture<@Nullable Void> cutAfter(Direction direction, long totalBytes, Cut cut) {
        var done = new CompletableFuture<@Nullable Void>();
        loop.perform(() -> {
            disarm();
            armed = Optional.of(new ArmedCut(direction, cut, done));
            lane(direction).cutAt(totalBytes);
        });
        return done;
    }

    /** From now on every new connection is accepted and reset at once, until {@link #heal}. */
    public void refuse() {
        loop.perform(() -> refusing = true);
    }

    /** Ends silences and refusals: what was held back passes. */
    public void heal() {
        loop.perform(() -> {
            refusing = false;
            lanes.values().forEach(lane -> lane.silence(false));
        });
    }

    /** Lets at most so many bytes pass per second. */
    public void limitRate(Direction direction, long bytesPerSecond) {
        loop.perform(() -> lane(direction).limitRate(bytesPerSecond, System.nanoTime()));
    }

    /** Ends {@link #limitRate}. */
    public void unlimitRate(Direction direction) {
        limitRate(direction, Pace.UNLIMITED);
    }

    /** Holds every byte that is read from now on for so long. Up to 32 MiB are under way. */
    public void delay(Direction direction, Duration delay) {
        loop.perform(() -> lane(direction).delay(delay));
    }

    /**
     * Closes all sockets and joins the thread.
     *
     * @throws IllegalStateException if it did not stop; the cause has its stack
     */
    @Override
    public void close() throws IOException {
        loop.close();
    }

    private long writeAll(long nowNanos) throws IOException {
        long wait = HalfLink.IDLE;
        for (ProxiedConnection connection : connections) {
            wait = Math.min(wait, connection.write(nowNanos));
        }
        connections.removeIf(connection -> !connection.isOpen());
        return wait;
    }

    private void accept(SocketChannel client) throws IOException {
        if (refusing) {
            refuse(client);
            return;
        }
        SocketChannel server;
        try {
            server = SocketChannel.open(target);
        } catch (IOException e) {
            // What the client would have seen without us, as near as an accepted connection can come to it.
            refuse(client);
            return;
        }
        int number = connectionCount;
        var forward = new HalfLink(client, server, lane(Direction.FORWARD), capture(number + ".fwd"));
        var reverse = new HalfLink(server, client, lane(Direction.REVERSE), capture(number + ".rev"));
        connections.add(new ProxiedConnection(client, server, forward, reverse, loop.selector()));
        connectionCount = number + 1;
    }

    private static void refuse(SocketChannel client) throws IOException {
        ProxiedConnection.resetOnClose(client);
        client.close();
    }

    private Optional<WritableByteChannel> capture(String fileName) throws IOException {
        if (captureDirectory.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(FileChannel.open(
                captureDirectory.get().resolve(fileName), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE));
    }

    private boolean isCutDue() {
        return armed.isPresent() && lane(armed.get().direction).isCutDue();
    }

    private void cutArmed() throws IOException {
        ArmedCut due = armed.orElseThrow();
        armed = Optional.empty();
        lane(due.direction).cutAt(Lane.NEVER);
        cutNow(due.cut);
        due.done.complete(null);
    }

    private void disarm() {
        armed.ifPresent(old -> {
            lane(old.direction).cutAt(Lane.NEVER);
            old.done.cancel(false);
        });
        armed = Optional.empty();
    }

    private void cutNow(Cut cut) throws IOException {
        switch (cut) {
            case RESET -> {
                for (ProxiedConnection connection : connections) {
                    connection.reset();
                }
                loop.letGoOfClosed();
            }
            case FIN -> finish(Direction.FORWARD, Direction.REVERSE);
            case FIN_FORWARD -> finish(Direction.FORWARD);
            case FIN_REVERSE -> finish(Direction.REVERSE);
            case SILENCE -> {
                lane(Direction.FORWARD).silence(true);
                lane(Direction.REVERSE).silence(true);
            }
            case SILENCE_FORWARD -> lane(Direction.FORWARD).silence(true);
            case SILENCE_REVERSE -> lane(Direction.REVERSE).silence(true);
        }
    }

    private void finish(Direction... directions) throws IOException {
        for (ProxiedConnection connection : connections) {
            connection.finish(directions);
        }
    }

    private Lane lane(Direction direction) {
        Lane lane = lanes.get(direction);
        if (lane == null) {
            throw new AssertionError(direction);
        }
        return lane;
    }
}
