package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.process.GuestMessage.Hello;
import io.migrationd.migrationd.guest.process.GuestMessage.Refused;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.EOFException;
import java.io.IOException;
import java.net.SocketTimeoutException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.newsclub.net.unix.AFUNIXServerSocket;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The guest socket: takes the hellos of VMMs and keeps one {@link ProcessGuest} per name. Threads:
 * {@code guest-accept}, {@code guest-session-N} and {@code guest-write-N} per connection, {@code guest-news} for the
 * registry.
 */
public final class GuestListener implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(GuestListener.class);
    private static final int BACKLOG = 16;
    private static final long PAUSE_MILLIS = 100;
    /** How long after a restart a guest's descriptors are kept for it. VMMs try each second or so. */
    private static final long COME_BACK_SECONDS = 60;

    private final Path path;
    private final AFUNIXServerSocket server;
    private final GuestRegistry registry;
    private final Limits limits;
    private final DescriptorStore store;
    private final Thread acceptor;
    private final ScheduledThreadPoolExecutor news;

    /** Held while a guest attaches or detaches. */
    private final Object order = new Object();

    /** Guarded by {@code this}, with all below. */
    private final Map<String, ProcessGuest> guests = new HashMap<>();

    private final Map<Thread, GuestChannel> connections = new HashMap<>();
    private long connectionCount;
    private boolean closed;
    private final CountDownLatch closing = new CountDownLatch(1);

    /** Bounds of what peers may take. */
    public record Limits(int maxConnections, Duration helloDeadline, Duration requestDeadline) {
        /** 256 connections and the deadlines of the protocol. */
        public static final Limits DEFAULT =
                new Limits(256, GuestProtocol.HELLO_DEADLINE, GuestProtocol.REQUEST_DEADLINE);
    }

    private GuestListener(
            Path path, AFUNIXServerSocket server, GuestRegistry registry, Limits limits, DescriptorStore store) {
        this.path = path;
        this.server = server;
        this.registry = registry;
        this.limits = limits;
        this.store = store;
        this.acceptor = Thread.ofPlatform().name("guest-accept").unstarted(this::acceptAll);
        this.news = new ScheduledThreadPoolExecutor(
                1, Thread.ofPlatform().name("guest-news").factory());
        news.setExecuteExistingDelayedTasksAfterShutdownPolicy(false);
    }

    /**
     * Binds the socket, readable and writable for owner and group, and starts to accept. A socket file that nobody
     * listens on any more is replaced.
     *
     * @throws IOException if somebody listens there, or the path is not a socket
     */
    public static GuestListener open(Path path, GuestRegistry registry, Limits limits) throws IOException {
        return open(path, registry, limits, DescriptorStore.none());
    }

    /** As above. What guests hand over is kept in {@code store}, which stays the caller's, until they are forgotten. */
    public static GuestListener open(Path path, GuestRegistry registry, Limits limits, DescriptorStore store)
            throws IOException {
        AFUNIXSocketAddress address = AFUNIXSocketAddress.of(path);
        removeStale(path, address);
        AFUNIXServerSocket server = AFUNIXServerSocket.newInstance();
        try {
            server.bind(address, BACKLOG);
            Files.setPosixFilePermissions(path, PosixFilePermissions.fromString("rw-rw----"));
        } catch (IOException | RuntimeException e) {
            server.close();
            throw e;
        }
        GuestListener listener = new GuestListener(path, server, registry, limits, store);
        listener.acceptor.start();
        var _ = listener.news.schedule(store::forgetLost, COME_BACK_SECONDS, TimeUnit.SECONDS);
        return listener;
    }

    private static void removeStale(Path path, AFUNIXSocketAddress address) throws IOException {
        if (!Files.exists(path)) {
            return;
        }
        if (Files.isRegularFile(path) || Files.isDirectory(path)) {
            throw new IOException("the guest socket " + path + " is not a socket");
        }
        try (AFUNIXSocket probe = AFUNIXSocket.newInstance()) {
            probe.connect(address);
        } catch (IOException e) {
            log.atDebug().addKeyValue("path", path).setCause(e).log("replacing a socket that nobody listens on");
            Files.delete(path);
            return;
        }
        throw new IOException("another process listens on the guest socket " + path);
    }

    /** Guests that are or were attached, in no order. */
    public synchronized List<ProcessGuest> guests() {
        return List.copyOf(guests.values());
    }

    /** Drops a guest and its memory, which nobody may use any more. Ends its connection if there is one. */
    public void forget(ProcessGuest guest) {
        if (remove(guest)) {
            store.forget(guest.name());
            guest.close();
        }
    }

    private synchronized boolean remove(ProcessGuest guest) {
        return guests.remove(guest.name(), guest);
    }

    private void acceptAll() {
        while (true) {
            AFUNIXSocket socket;
            try {
                socket = server.accept();
            } catch (IOException e) {
                if (isClosed()) {
                    return;
                }
                log.atError().setCause(e).log("accepting a guest failed");
                pauseAfterFailure();
                continue;
            }
            try {
                start(socket);
            } catch (IOException e) {
                log.atWarn().setCause(e).log("a guest connection was dropped");
            }
        }
    }

    /** Without descriptors accept fails at once, again and again. */
    private void pauseAfterFailure() {
        try {
            if (closing.await(PAUSE_MILLIS, TimeUnit.MILLISECONDS)) {
                log.atDebug().log("closing while accepting fails");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    private void start(AFUNIXSocket socket) throws IOException {
        GuestChannel channel = new GuestChannel(socket);
        synchronized (this) {
            if (!closed && connections.size() < limits.maxConnections()) {
                long number = ++connectionCount;
                Thread thread =
                        Thread.ofPlatform().name("guest-session-" + number).unstarted(() -> serve(channel, number));
                connections.put(thread, channel);
                thread.start();
                return;
            }
        }
        try (channel) {
            refuse(channel, "there are %d guest connections already".formatted(limits.maxConnections()));
        }
    }

    private void serve(GuestChannel channel, long number) {
        try (channel) {
            introduceOrRefuse(channel, number);
        } finally {
            synchronized (this) {
                connections.remove(Thread.currentThread());
            }
        }
    }

    private void introduceOrRefuse(GuestChannel channel, long number) {
        try {
            introduce(channel, number);
        } catch (SocketTimeoutException e) {
            refuse(
                    channel,
                    "no hello came within %d ms"
                            .formatted(limits.helloDeadline().toMillis()));
        } catch (EOFException e) {
            log.atDebug().addKeyValue("connection", number).log("connection without a hello");
        } catch (IOException e) {
            refuse(channel, String.valueOf(e.getMessage()));
        }
    }

    private static void refuse(GuestChannel channel, String reason) {
        log.atWarn().addKeyValue("reason", reason).log("guest refused");
        try {
            channel.write(new Refused(reason), new byte[0]);
        } catch (IOException e) {
            log.atDebug().setCause(e).log("the refused guest did not wait for the reason");
        }
    }

    private void introduce(GuestChannel channel, long number) throws IOException {
        channel.expectHello(System.nanoTime() + limits.helloDeadline().toNanos());
        GuestMessage first = channel.readMessage().message();
        if (!(first instanceof Hello(GuestHello hello))) {
            throw new ProtocolException(
                    "message.type", 0, "hello", first.getClass().getSimpleName());
        }
        long pid = PeerProcess.verify(channel.peerPid(), hello.pid());
        DeviceLayouts devices = DeviceLayouts.of(hello.devices(), 0);
        GuestMemory memory;
        try (ReceivedDescriptors received = channel.descriptors()) {
            memory = GuestMemory.of(hello, received, 0);
        }
        channel.helloDone();
        // The order of news is the order of what happened.
        ProcessGuest guest;
        GuestSession session;
        synchronized (order) {
            guest = admit(hello, pid, memory, devices);
            session = new GuestSession(channel, guest.name(), limits.requestDeadline(), guest::reported, number);
            Optional<String> refusal = guest.attach(session, hello.mode());
            if (refusal.isPresent()) {
                throw new IOException(refusal.get());
            }
            store.keep(guest.name(), guest.descriptors());
            tell(() -> registry.attached(guest));
        }
        try {
            session.serve();
        } finally {
            synchronized (order) {
                if (guest.detach(session)) {
                    tell(() -> registry.detached(guest));
                }
            }
        }
    }

    /** The guest that the hello is of, or a new one. Takes the memory over, or closes it. */
    private ProcessGuest admit(GuestHello hello, long pid, GuestMemory memory, DeviceLayouts devices)
            throws IOException {
        ProcessGuest known;
        synchronized (this) {
            known = guests.get(hello.name());
        }
        Optional<String> refusal = Optional.empty();
        if (known != null && known.isSameAs(hello, pid, memory)) {
            memory.close();
            return known;
        } else if (known != null && known.isAttached()) {
            refusal = Optional.of("guest %s is attached already by process %d".formatted(hello.name(), known.pid()));
        } else {
            refusal = registry.refusal(hello.name());
        }
        if (refusal.isPresent()) {
            memory.close();
            throw new IOException(refusal.get());
        }
        if (known != null) {
            forget(known);
        }
        ProcessGuest guest = new ProcessGuest(hello, pid, memory, devices);
        synchronized (this) {
            guests.put(guest.name(), guest);
        }
        return guest;
    }

    private void tell(Runnable piece) {
        try {
            news.execute(piece);
        } catch (RejectedExecutionException e) {
            log.atDebug().setCause(e).log("the listener is closing");
        }
    }

    /** Stops to listen, ends every connection and gives all guests' memory up. Engines have ended before. */
    @Override
    public void close() throws IOException {
        List<Thread> threads = new ArrayList<>();
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            connections.values().forEach(GuestChannel::shutdown);
            threads.addAll(connections.keySet());
            closing.countDown();
        }
        server.close();
        Files.deleteIfExists(path);
        threads.add(acceptor);
        for (Thread thread : threads) {
            join(thread);
        }
        news.shutdown();
        await(news);
        // Not forgotten: the service manager keeps what it has for the next daemon.
        for (ProcessGuest guest : guests()) {
            if (remove(guest)) {
                guest.close();
            }
        }
    }

    private void join(Thread thread) {
        try {
            if (!thread.join(limits.requestDeadline())) {
                log.atError()
                        .addKeyValue("thread", thread.getName())
                        .addKeyValue("stack", List.of(thread.getStackTrace()))
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void await(ExecutorService executor) {
        try {
            if (!executor.awaitTermination(limits.requestDeadline().toMillis(), TimeUnit.MILLISECONDS)) {
                log.atError().addKeyValue("thread", "guest-news").log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
