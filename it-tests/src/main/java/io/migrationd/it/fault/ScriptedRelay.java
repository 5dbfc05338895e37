package io.migrationd.it.fault;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A relay between the Unix sockets of two QEMUs in one process, that keeps the rules of a relay or breaks one of them
 * on purpose: {@link Conduct}. Every method may be called from any thread.
 */
public final class ScriptedRelay implements AutoCloseable {
    private static final Duration JOIN_TIMEOUT = Duration.ofSeconds(10);

    /** What a thread of the relay does. */
    @FunctionalInterface
    interface Work {
        void run() throws IOException, InterruptedException;
    }

    private final Path listen;
    private final Path target;
    private final Conduct conduct;
    private final ServerSocketChannel listener;
    private final long startNanos = System.nanoTime();
    private final List<String> history = new CopyOnWriteArrayList<>();
    private final List<Thread> threads = new CopyOnWriteArrayList<>();

    // All below: guarded by this.
    private final List<RelayedChannel> channels = new ArrayList<>();
    private final Set<Direction> stalled = EnumSet.noneOf(Direction.class);
    private final Map<Direction, Long> delivered = new EnumMap<>(Direction.class);
    private Pace pace;
    private int connectedCount;
    private boolean mainConnected;
    private int othersConnected;
    private boolean released;
    private boolean stopReached;
    private boolean closing;

    private ScriptedRelay(Path listen, Path target, Conduct conduct) throws IOException {
        this.listen = listen;
        this.target = target;
        this.conduct = conduct;
        pace = new Pace(conduct.bytesPerSecond(), startNanos);
        listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(listen));
    }

    /** Listens at {@code listen}; what is accepted there is carried to {@code target}. */
    public static ScriptedRelay start(Path listen, Path target, Conduct conduct) throws IOException {
        var relay = new ScriptedRelay(listen, target, conduct);
        relay.thread("accept", relay::accept, () -> {});
        return relay;
    }

    /** Where the source connects to. */
    public Path address() {
        return listen;
    }

    /** Bytes that were handed to the receiving sockets. */
    public synchronized long delivered(Direction direction) {
        return delivered.getOrDefault(direction, 0L);
    }

    /** Connections that the destination has heard of. */
    public synchronized int connectedCount() {
        return connectedCount;
    }

    /** Connections that the source has made. */
    public synchronized int acceptedCount() {
        return channels.size();
    }

    /** What happened, with milliseconds since the start. */
    public List<String> history() {
        return List.copyOf(history);
    }

    /** Waits until the message that is not to pass has come. */
    public synchronized void awaitStop(Duration deadline) throws InterruptedException, TimeoutException {
        long until = System.nanoTime() + deadline.toNanos();
        while (!stopReached) {
            long leftMillis = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
            if (leftMillis <= 0) {
                throw new TimeoutException("relay: no %s; %s".formatted(conduct.stopsBefore(), history));
            }
            wait(leftMillis);
        }
    }

    /** What was held back goes on: connections that were not made, a message that did not pass. */
    public synchronized void release() {
        released = true;
        notifyAll();
    }

    /** Nothing passes in that direction, and nobody is told, until {@link #unstall}. */
    public synchronized void stall(Direction direction) {
        stalled.add(direction);
        say("stalled " + direction);
    }

    /** Ends all stalls. */
    public synchronized void unstall() {
        stalled.clear();
        notifyAll();
        say("goes on");
    }

    /** From now on it delivers so much, of all connections together. */
    public synchronized void setRate(long bytesPerSecond) {
        pace = new Pace(bytesPerSecond, System.nanoTime());
        notifyAll();
    }

    /** The way back of all connections breaks. A relay that dies as a whole does so. */
    public void cutReverse() throws IOException {
        say("the way back breaks");
        for (RelayedChannel channel : copyOfChannels()) {
            channel.cutReverse();
        }
    }

    /** All connections end, at both ends. */
    public void cut() {
        say("all connections break");
        copyOfChannels().forEach(RelayedChannel::close);
    }

    /** One connection more than the source has made. The caller closes it. */
    public SocketChannel connectExtra() throws IOException {
        say("an extra connection");
        return SocketChannel.open(UnixDomainSocketAddress.of(target));
    }

    /** Ends all connections and joins all threads. */
    @Override
    public void close() throws IOException {
        synchronized (this) {
            closing = true;
            released = true;
            stalled.clear();
            notifyAll();
        }
        listener.close();
        copyOfChannels().forEach(RelayedChannel::close);
        Files.deleteIfExists(listen);
        for (Thread thread : threads) {
            join(thread);
        }
    }

    private static void join(Thread thread) {
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

    Conduct conduct() {
        return conduct;
    }

    void say(String what) {
        history.add(String.format(Locale.ROOT, "%.1f ms %s", (System.nanoTime() - startNanos) / 1e6, what));
    }

    /** Starts one of the relay's threads. */
    void thread(String role, Work work, Runnable onFailure) {
        Thread thread = Thread.ofPlatform().name("scripted-relay-" + role).unstarted(() -> run(role, work, onFailure));
        threads.add(thread);
        thread.start();
    }

    private void run(String role, Work work, Runnable onFailure) {
        try {
            work.run();
        } catch (IOException e) {
            if (!isClosing()) {
                say(role + " ended: " + e);
            }
            onFailure.run();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized boolean isClosing() {
        return closing;
    }

    private synchronized List<RelayedChannel> copyOfChannels() {
        return List.copyOf(channels);
    }

    private void accept() throws IOException {
        while (true) {
            SocketChannel client = listener.accept();
            RelayedChannel channel;
            synchronized (this) {
                channel = new RelayedChannel(this, channels.size(), client);
                channels.add(channel);
            }
            say("connection %d accepted".formatted(channel.number()));
            channel.start();
        }
    }

    /** Waits until it is time for the destination to hear of this connection; false if that will never be. */
    synchronized boolean awaitTurn(RelayedChannel channel) throws InterruptedException {
        while (!closing && !channel.isOver() && !mayConnect(channel)) {
            if (channel.isFinished()) {
                return false;
            }
            wait();
        }
        return !closing && !channel.isOver();
    }

    private boolean mayConnect(RelayedChannel channel) throws InterruptedException {
        if (released) {
            return true;
        }
        if (channel.isMain()) {
            return othersConnected >= conduct.othersBeforeMain()
                    && (conduct.main() == Conduct.Connecting.ON_ACCEPT || channel.hasFirstBytes());
        }
        return (mainConnected || conduct.othersBeforeMain() > 0)
                && (conduct.others() == Conduct.Connecting.ON_ACCEPT || channel.hasFirstBytes());
    }

    /** One at a time: the order in which the destination accepts is that of these calls. */
    synchronized SocketChannel connect(RelayedChannel channel) throws IOException, InterruptedException {
        SocketChannel server = SocketChannel.open(UnixDomainSocketAddress.of(target));
        say("connection %d made to the destination".formatted(channel.number()));
        connectedCount++;
        if (!channel.isMain()) {
            othersConnected++;
            notifyAll();
        }
        return server;
    }

    /** The first bytes of this connection have been delivered. */
    synchronized void started(RelayedChannel channel) throws InterruptedException {
        if (channel.isMain()) {
            mainConnected = true;
            notifyAll();
        }
    }

    /** Something that {@link #awaitTurn} looks at may have changed. */
    synchronized void changed() {
        notifyAll();
    }

    synchronized void delivered(Direction direction, int count) {
        delivered.merge(direction, (long) count, Long::sum);
        if (direction == Direction.FORWARD) {
            pace.spent(count, System.nanoTime());
        }
    }

    synchronized void awaitNoStall(Direction direction, RelayedChannel channel) throws InterruptedException {
        while (stalled.contains(direction) && !channel.isOver()) {
            wait();
        }
    }

    /** Waits for the rate and returns how many bytes may go. */
    synchronized int awaitAllowance() throws InterruptedException {
        long left = pace.waitNanos(System.nanoTime());
        while (left > 0 && !closing) {
            wait(Math.max(1, TimeUnit.NANOSECONDS.toMillis(left)));
            left = pace.waitNanos(System.nanoTime());
        }
        return Math.min(pace.burstBytes(), 64 << 10);
    }

    /** The message that is not to pass has come; what was before it has passed. */
    void reachedStop(RelayedChannel channel, Place place) throws IOException, InterruptedException {
        say("%s has come and does not pass".formatted(place));
        if (conduct.stop() == Conduct.Stop.CLOSE) {
            copyOfChannels().forEach(RelayedChannel::close);
        }
        synchronized (this) {
            stopReached = true;
            notifyAll();
            while (!released && !channel.isOver()) {
                wait();
            }
        }
        if (channel.isOver()) {
            throw new IOException("lost before " + place);
        }
    }
}
