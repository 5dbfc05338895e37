package io.migrationd.it.fault;

import java.io.Closeable;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.time.Duration;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * The thread of a proxy, {@code link-proxy-<name>}: accepts, reads what is ready, lets its {@link Traffic} move bytes,
 * and runs what other threads ask for in between.
 */
final class ProxyLoop implements Closeable {
    private static final int SCRATCH_BYTES = 64 << 10;
    private static final Duration JOIN_TIMEOUT = Duration.ofSeconds(10);

    /** What is done with the connections; called by the thread only. */
    interface Traffic {
        /** Owns the accepted socket from now on. */
        void accepted(SocketChannel client) throws IOException;

        /** Writes what is due; returns how long to wait at most before the next call, or {@link HalfLink#IDLE}. */
        long move(long nowNanos) throws IOException;

        /** The last call: closes what is open. */
        void ended() throws IOException;
    }

    /** What the thread is asked to do between two rounds. */
    @FunctionalInterface
    interface Action {
        void run() throws IOException;
    }

    private record Command(Action action, CompletableFuture<@Nullable Void> done) {}

    private final Traffic traffic;
    private final ServerSocketChannel listener;
    private final SocketAddress address;
    private final Selector selector;
    private final Queue<Command> commands = new ConcurrentLinkedQueue<>();
    private final ByteBuffer scratch = ByteBuffer.allocateDirect(SCRATCH_BYTES);
    private final Thread thread;

    /** Written by close(), read by the thread. */
    private volatile boolean closing;

    /** Set by the thread after its last command. */
    private volatile boolean stopped;

    /** Listens. Nothing is accepted before {@link #start}. */
    ProxyLoop(String name, SocketAddress listen, Traffic traffic) throws IOException {
        this.traffic = traffic;
        listener = listen instanceof UnixDomainSocketAddress
                ? ServerSocketChannel.open(StandardProtocolFamily.UNIX)
                : ServerSocketChannel.open();
        try {
            address = listener.bind(listen).getLocalAddress();
            selector = Selector.open();
            listener.configureBlocking(false);
            listener.register(selector, SelectionKey.OP_ACCEPT);
        } catch (IOException | RuntimeException e) {
            listener.close();
            throw e;
        }
        thread = Thread.ofPlatform().name("link-proxy-" + name).unstarted(this::run);
    }

    void start() {
        thread.start();
    }

    SocketAddress address() {
        return address;
    }

    /** For connections; used by the thread only. */
    Selector selector() {
        return selector;
    }

    /** A registered socket is closed for good, and its RST sent, only by the next selection. */
    void letGoOfClosed() throws IOException {
        selector.selectNow();
    }

    /** Runs {@code action} on the thread and returns when it has. */
    void perform(Action action) {
        try {
            enqueue(action).join();
        } catch (CompletionException e) {
            throw new IllegalStateException("link proxy at " + address + " cannot do that", e.getCause());
        }
    }

    /** Waits until the thread has written down what it has just done. A proxy that has ended has. */
    void settle() {
        enqueue(() -> {}).exceptionally(_ -> null).join();
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
        } catch (IOException e) {
            throw new IllegalStateException("link proxy at " + address + " failed", e);
        } finally {
            end();
        }
    }

    private void end() {
        try {
            traffic.ended();
        } catch (IOException e) {
            throw new IllegalStateException("link proxy at " + address + " did not close its connections", e);
        } finally {
            stopped = true;
            refuseCommands();
        }
    }

    private void round() throws IOException {
        select(traffic.move(System.nanoTime()));
        long now = System.nanoTime();
        // A copy: what a read sets off may select, to let go of closed sockets, and so change the set.
        for (SelectionKey key : List.copyOf(selector.selectedKeys())) {
            if (!key.isValid()) {
                continue;
            }
            if (key.attachment() instanceof ProxiedConnection connection) {
                connection.read(scratch, now);
            } else {
                SocketChannel client = listener.accept();
                if (client != null) {
                    traffic.accepted(client);
                }
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
}
