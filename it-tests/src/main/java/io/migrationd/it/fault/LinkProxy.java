package io.migrationd.it.fault;

import java.io.IOException;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
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
    private static final int SCRATCH_BYTES = 64 << 10;
    private static final Duration JOIN_TIMEOUT = Duration.ofSeconds(10);

    /** What the thread is asked to do between two rounds. */
    @FunctionalInterface
    private interface Action {
        void run() throws IOException;
    }

    private record Command(Action action, CompletableFuture<@Nullable Void> done) {}

    private record ArmedCut(Direction direction, Cut cut, CompletableFuture<@Nullable Void> done) {}

    private final Optional<Path> captureDirectory;
    private final ServerSocketChannel listener;
    private final SocketAddress address;
    private final Selector selector;
    private final Queue<Command> commands = new ConcurrentLinkedQueue<>();
    private final Map<Direction, Lane> lanes = new EnumMap<>(Direction.class);
    private final Thread thread;

    // Only the thread touches these.
    private final List<ProxiedConnection> connections = new ArrayList<>();
    private final ByteBuffer scratch = ByteBuffer.allocateDirect(SCRATCH_BYTES);
    private SocketAddress target;
    private Optional<ArmedCut> armed = Optional.empty();
    private boolean refusing;

    /** Written by the thread only, read by any. */
    private volatile int connectionCount;

    /** Written by close(), read by the thread. */
    private volatile boolean closing;

    /** Set by the thread after its last command. */
    private volatile boolean stopped;

    private LinkProxy(String name, ServerSocketChannel listener, SocketAddress target, Optional<Path> captureDirectory)
            throws IOException {
        this.captureDirectory = captureDirectory;
        this.listener = listener;
        this.address = listener.getLocalAddress();
        this.target = target;
        this.selector = Selector.open();
        for (Direction direction : Direction.values()) {
            lanes.put(direction, new Lane());
        }
        listener.configureBlocking(false);
        listener.register(selector, SelectionKey.OP_ACCEPT);
        thread = Thread.ofPlatform().name("link-proxy-" + name).unstarted(this::run);
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
        ServerSocketChannel listener = listen instanceof UnixDomainSocketAddress
                ? ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                : ServerSocketChannel.open();
        try {
            var proxy = new LinkProxy(name, listener.bind(listen), target, captureDirectory);
            proxy.thread.start();
            return proxy;
        } catch (IOException | RuntimeException e) {
            listener.close();
            throw e;
        }
    }

    /** Where to connect to. */
    public SocketAddress address() {
        return address;
    }

    /** Bytes that were handed to the receiving socket since the start, all that an end has read among them. */
    public long bytes(Direction direction) {
        settle();
        return lane(direction).bytes();
    }

    /** Connections that were made to a target since the start. */
    public int connectionCount() {
        settle();
        return connectionCount;
    }

    /** Connections accepted from now on go to {@code address}. */
    public void retarget(SocketAddress newTarget) {
        perform(() -> target = newTarget);
    }

    /** Breaks all connections now. RESET and FIN leave later connections alone, a silence is theirs too. */
    public void cut(Cut cut) {
        perform(() -> cutNow(cut));
    }

    /**
     * Breaks all connections as soon as {@link #bytes} of {@code direction} has reached {@code totalBytes}; not one
     * byte more passes. Replaces an earlier one that has not come to pass.
     *
     * @return completed when it was done, cancelled when it never will be
     */
    public CompletableFuture<@Nullable Void> cutAfter(Direction direction, long totalBytes, Cut cut) {
        var done = new CompletableFuture<@Nullable Void>();
        perform(() -> {
            disarm();
            armed = Optional.of(new ArmedCut(direction, cut, done));
            lane(direction).cutAt(totalBytes);
        });
        return done;
    }

    /** From now on every new connection is accepted and reset at once, until {@link #heal}. */
    public void refuse() {
        perform(() -> refusing = true);
    }

    /** Ends silences and refusals: what was held back passes. */
    public void heal() {
        perform(() -> {
            refusing = false;
            lanes.values().forEach(lane -> lane.silence(false));
        });
    }

    /** Lets at most so many bytes pass per second. */
    public void limitRate(Direction direction, long bytesPerSecond) {
        perform(() -> lane(direction).limitRate(bytesPerSecond, System.nanoTime()));
    }

    /** Ends {@link #limitRate}. */
    public void unlimitRate(Direction direction) {
        limitRate(direction, Pace.UNLIMITED);
    }

    /** Holds every byte that is read from now on for so long. Up to 32 MiB are under way. */
    public void delay(Direction direction, Duration delay) {
        perform(() -> lane(direction).delay(delay));
    }

    /**
     * Closes all sockets and joins the thread.
     *
     * @throws IllegalStateException if it did not stop; the cause has its stack
     */
    @Override
    public void close() throws IOException {
        closing = true;
        selector.wakeup();
        join();
        if (address instanceof UnixDomainSocketAddress unix) {
            Files.deleteIfExists(unix.getPath());
        }
    }

    private void join() {
        boolean ended;
        try {
            ended = thread.join(JOIN_TIMEOUT);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            ended = false;
        }
        if (!ended) {
            var where = new Throwable("where thread " + thread.getName() + " is");
            where.setStackTrace(thread.getStackTrace());
            throw new IllegalStateException("thread " + thread.getName() + " did not stop", where);
        }
    }

    /** Waits until the thread has written down what it has just done. A proxy that has ended has. */
    private void settle() {
        enqueue(() -> {}).exceptionally(_ -> null).join();
    }

    private void perform(Action action) {
        try {
            enqueue(action).join();
        } catch (CompletionException e) {
            throw new IllegalStateException("link proxy at " + address + " cannot do that", e.getCause());
        }
    }

    private CompletableFuture<@Nullable Void> enqueue(Action action) {
        var command = new Command(action, new CompletableFuture<>());
        commands.add(command);
        selector.wakeup();
        if (stopped) {
            refuseCommands();
        }
        return command.done;
    }

    private void run() {
        try (listener;
                selector) {
            while (!closing) {
                round();
            }
            closeConnections();
        } catch (IOException e) {
            throw new IllegalStateException("link proxy at " + address + " failed", e);
        } finally {
            disarm();
            stopped = true;
            refuseCommands();
        }
    }

    private void closeConnections() throws IOException {
        for (ProxiedConnection connection : connections) {
            connection.close();
        }
    }

    private void round() throws IOException {
        long wait = writeAll(System.nanoTime());
        if (isCutDue()) {
            cutArmed();
            wait = writeAll(System.nanoTime());
        }
        select(wait);
        long now = System.nanoTime();
        for (SelectionKey key : selector.selectedKeys()) {
            if (key.attachment() instanceof ProxiedConnection connection) {
                connection.read(scratch, now);
            } else {
                accept();
            }
        }
        selector.selectedKeys().clear();
        runCommands();
    }

    private void select(long waitNanos) throws IOException {
        if (waitNanos == HalfLink.IDLE) {
            selector.select();
        } else {
            selector.select(Math.max(1, TimeUnit.NANOSECONDS.toMillis(waitNanos + 999_999)));
        }
    }

    private long writeAll(long nowNanos) throws IOException {
        long wait = HalfLink.IDLE;
        for (ProxiedConnection connection : connections) {
            wait = Math.min(wait, connection.write(nowNanos));
        }
        connections.removeIf(connection -> !connection.isOpen());
        return wait;
    }

    private void runCommands() {
        for (Command command = commands.poll(); command != null; command = commands.poll()) {
            try {
                command.action.run();
                command.done.complete(null);
            } catch (IOException | RuntimeException e) {
                command.done.completeExceptionally(e);
            }
        }
    }

    private void refuseCommands() {
        for (Command command = commands.poll(); command != null; command = commands.poll()) {
            command.done.completeExceptionally(new IllegalStateException("thread " + thread.getName() + " has ended"));
        }
    }

    private void accept() throws IOException {
        SocketChannel client = listener.accept();
        if (client == null) {
            return;
        }
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
        connections.add(new ProxiedConnection(client, server, forward, reverse, selector));
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
                // A registered socket is closed for good, and its RST sent, only by the next selection.
                selector.selectNow();
            }
            case FIN -> {
                for (ProxiedConnection connection : connections) {
                    connection.finish();
                }
            }
            case SILENCE -> {
                lane(Direction.FORWARD).silence(true);
                lane(Direction.REVERSE).silence(true);
            }
            case SILENCE_FORWARD -> lane(Direction.FORWARD).silence(true);
            case SILENCE_REVERSE -> lane(Direction.REVERSE).silence(true);
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
