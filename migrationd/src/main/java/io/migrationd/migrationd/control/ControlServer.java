package io.migrationd.migrationd.control;

import io.migrationd.migrationd.config.ControlConfig;
import io.migrationd.migrationd.config.PathsConfig;
import io.migrationd.migrationd.metrics.Meters;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Function;
import org.newsclub.net.unix.AFUNIXSelectorProvider;
import org.newsclub.net.unix.AFUNIXServerSocketChannel;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The control sockets: {@code control.sock} and one {@code guests/NAME.qmp} for each guest. One thread
 * {@code ctl-accept} accepts for all of them and closes connections that ended; each client has three threads of its
 * own. {@link #close} ends the first, which closes every socket, and then waits for the others.
 *
 * <p>{@link #guestAdded} and {@link #guestRemoved} may be called from any thread but {@code ctl-accept}.
 */
public final class ControlServer implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ControlServer.class);

    /** Connections beyond the limit, for administrators only: others cannot lock them out. */
    private static final int RESERVED_FOR_ADMINISTRATORS = 4;

    private static final Duration STOP_DEADLINE = Duration.ofSeconds(10);
    private static final long ACCEPT_PAUSE_MILLIS = 1000;

    private final ControlConfig config;
    private final PathsConfig paths;
    private final GuestDirectory directory;
    private final EventHub events;
    private final DaemonFacts facts;
    private final Meters meters;
    private final Function<Peer, Optional<Role>> access;
    private final Commands commands;
    private final Thread thread = Thread.ofPlatform().name("ctl-accept").unstarted(this::run);
    private final Selector selector;

    /** Work for the accepting thread from others. Bounded by their number: each waits for its task. */
    private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    /** Connections to be closed. */
    private final Queue<QmpConnection> ended = new ConcurrentLinkedQueue<>();
    /** Clients' threads, some of them perhaps at their end. */
    private final Set<Thread> clientThreads = ConcurrentHashMap.newKeySet();

    private volatile boolean stopping;

    // Accepting thread only, from start() on.
    private final Map<Path, Listener> listeners = new HashMap<>();
    private final Map<QmpConnection, Listener> clients = new LinkedHashMap<>();
    private long connectionCount;
    private boolean acceptPaused;

    /** A socket file. */
    private record Listener(Path path, AFUNIXServerSocketChannel channel, CommandTable table, Optional<String> guest) {}

    /** Serves nothing before {@link #start}. */
    public ControlServer(
            ControlConfig config,
            PathsConfig paths,
            GuestDirectory directory,
            QemuGuestViews qemus,
            MoveOperations moves,
            EventHub events,
            DaemonFacts facts,
            Meters meters)
            throws IOException {
        this(config, paths, directory, qemus, moves, events, facts, meters, new AccessPolicy(config, ownUid())::roleOf);
    }

    /** The same with a policy of its own, for tests that cannot change their user. */
    ControlServer(
            ControlConfig config,
            PathsConfig paths,
            GuestDirectory directory,
            QemuGuestViews qemus,
            MoveOperations moves,
            EventHub events,
            DaemonFacts facts,
            Meters meters,
            Function<Peer, Optional<Role>> access)
            throws IOException {
        this.config = config;
        this.paths = paths;
        this.directory = directory;
        this.events = events;
        this.facts = facts;
        this.meters = meters;
        this.access = access;
        this.commands = new Commands(directory, qemus, moves, facts, InstantSource.system());
        this.selector = AFUNIXSelectorProvider.provider().openSelector();
    }

    /**
     * Binds {@code control.sock} and the socket of every guest that is there, and serves them.
     *
     * @throws IOException if a socket of that name is in use by another process, or cannot be bound
     */
    public void start() throws IOException {
        try {
            Files.createDirectories(paths.guestSockets());
            SocketFiles.removeStale(paths.guestSockets());
            listen(paths.controlSocket(), commands.ofDaemon(), Optional.empty());
            for (GuestOperations guest : directory.guests()) {
                listenFor(guest.view().name());
            }
        } catch (IOException | RuntimeException e) {
            closeAll();
            throw e;
        }
        thread.start();
    }

    /**
     * Binds the guest's own socket; on return it accepts connections. Nothing happens if it has one.
     *
     * @throws UncheckedIOException if the socket cannot be bound; the guest is still reached by the daemon's
     */
    public void guestAdded(String name) {
        try {
            onServerThread(() -> {
                listenFor(name);
                return name;
            });
        } catch (IOException e) {
            throw new UncheckedIOException("guest " + name + " has no control socket of its own", e);
        }
    }

    /** Removes the guest's own socket and disconnects its clients. Nothing happens if it has none. */
    public void guestRemoved(String name) {
        try {
            onServerThread(() -> {
                Listener listener = listeners.remove(paths.guestControlSocket(name));
                if (listener != null) {
                    close(listener);
                }
                return name;
            });
        } catch (IOException e) {
            throw new UncheckedIOException("the control socket of guest " + name + " was not removed", e);
        }
    }

    @Override
    public void close() {
        stopping = true;
        selector.wakeup();
        if (thread.getState() == Thread.State.NEW) {
            closeAll();
        } else {
            join(thread);
        }
        clientThreads.stream()
                .filter(client -> client != Thread.currentThread())
                .forEach(ControlServer::join);
    }

    // ---- the accepting thread ----

    /**
     * AFSelector.select(0) of junixsocket 2.10.1 does not wait, against the contract of Selector: only select() does.
     */
    private void select() throws IOException {
        if (acceptPaused) {
            selector.select(ACCEPT_PAUSE_MILLIS);
        } else {
            selector.select();
        }
    }

    private void run() {
        try {
            while (!stopping) {
                select();
                runTasks();
                resumeAccepting();
                for (SelectionKey key : selector.selectedKeys()) {
                    if (key.isValid() && key.attachment() instanceof Listener listener) {
                        accept(listener);
                    }
                }
                selector.selectedKeys().clear();
                closeEnded();
            }
        } catch (IOException | RuntimeException e) {
            log.atError().setCause(e).log("control sockets failed and are closed");
        } finally {
            stopping = true;
            closeAll();
            runTasks();
        }
    }

    private void closeEnded() {
        for (QmpConnection connection = ended.poll(); connection != null; connection = ended.poll()) {
            disconnect(connection);
        }
    }

    private void accept(Listener listener) {
        try {
            AFUNIXSocketChannel channel = listener.channel().accept();
            if (channel != null) {
                admit(listener, channel);
            }
        } catch (IOException e) {
            // Out of descriptors, most likely. The connection stays in the backlog and would wake us again at once.
            log.atWarn().setCause(e).addKeyValue("socket", listener.path()).log("cannot accept, trying again later");
            setAccepting(false);
        }
    }

    private void resumeAccepting() {
        if (acceptPaused) {
            setAccepting(true);
        }
    }

    private void setAccepting(boolean accepting) {
        acceptPaused = !accepting;
        for (SelectionKey key : selector.keys()) {
            if (key.isValid() && key.attachment() instanceof Listener) {
                key.interestOps(accepting ? SelectionKey.OP_ACCEPT : 0);
            }
        }
    }

    private void admit(Listener listener, AFUNIXSocketChannel channel) throws IOException {
        try {
            Peer peer = Peer.of(channel.getPeerCredentials());
            Optional<Role> role = access.apply(peer);
            if (role.isEmpty()) {
                reject(
                        channel,
                        peer,
                        "uid %s has none of the rights observe, operate and administer"
                                .formatted(Integer.toUnsignedString(peer.uid())));
            } else if (clients.size() >= limitFor(role.get())) {
                reject(
                        channel,
                        peer,
                        "%d clients are connected, the limit is %d".formatted(clients.size(), limitFor(role.get())));
            } else {
                connect(listener, channel, peer, role.get());
            }
        } catch (IOException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    private int limitFor(Role role) {
        return config.maxClients() + (role == Role.ADMINISTER ? RESERVED_FOR_ADMINISTRATORS : 0);
    }

    private static void reject(AFUNIXSocketChannel channel, Peer peer, String reason) throws IOException {
        log.atWarn().addKeyValue("peer", peer).addKeyValue("reason", reason).log("client refused");
        // A new socket has room for one line; a client that is gone already misses nothing.
        try (channel) {
            channel.write(ByteBuffer.wrap(QmpConnection.errorLine(new CommandException(reason))));
        }
    }

    private void connect(Listener listener, AFUNIXSocketChannel channel, Peer peer, Role role) throws IOException {
        QmpConnection connection = new QmpConnection(
                ++connectionCount,
                channel,
                peer,
                role,
                new QmpConnection.Setting(
                        listener.table(),
                        listener.guest(),
                        facts,
                        events,
                        meters,
                        config.maxMessageBytes(),
                        config.maxOutgoingBytes(),
                        this::connectionEnded));
        clients.put(connection, listener);
        meters.controlClients(clients.size());
        clientThreads.removeIf(thread -> thread.getState() == Thread.State.TERMINATED);
        clientThreads.addAll(connection.threads());
        connection.start();
        log.atDebug()
                .addKeyValue("client", connection)
                .addKeyValue("role", role.label())
                .addKeyValue("socket", listener.path())
                .log("client connected");
    }

    private void disconnect(QmpConnection connection) {
        if (clients.remove(connection) == null) {
            return;
        }
        meters.controlClients(clients.size());
        connection.close();
        log.atDebug().addKeyValue("client", connection).log("client disconnected");
    }

    private void listenFor(String guest) throws IOException {
        if (!GuestDirectory.isName(guest)) {
            throw new IllegalArgumentException("'" + guest + "' is not a guest's name");
        }
        listen(paths.guestControlSocket(guest), commands.ofGuest(guest), Optional.of(guest));
    }

    private void listen(Path path, CommandTable table, Optional<String> guest) throws IOException {
        if (listeners.containsKey(path)) {
            return;
        }
        AFUNIXServerSocketChannel channel = SocketFiles.bind(path, config.socketMode());
        Listener listener = new Listener(path, channel, table, guest);
        channel.register(selector, SelectionKey.OP_ACCEPT, listener);
        listeners.put(path, listener);
        log.atInfo().addKeyValue("socket", path).log("listening");
    }

    private void close(Listener listener) throws IOException {
        List<QmpConnection> leaving = clients.entrySet().stream()
                .filter(client -> client.getValue().equals(listener))
                .map(Map.Entry::getKey)
                .toList();
        leaving.forEach(this::disconnect);
        // Removes the file, too.
        listener.channel().close();
        log.atInfo().addKeyValue("socket", listener.path()).log("closed");
    }

    private void closeAll() {
        List.copyOf(clients.keySet()).forEach(this::disconnect);
        for (Listener listener : listeners.values()) {
            try {
                close(listener);
            } catch (IOException e) {
                log.atWarn().setCause(e).addKeyValue("socket", listener.path()).log("socket was not closed cleanly");
            }
        }
        listeners.clear();
        try {
            selector.close();
        } catch (IOException e) {
            log.atWarn().setCause(e).log("selector was not closed cleanly");
        }
    }

    private void runTasks() {
        for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
            task.run();
        }
    }

    // ---- other threads ----

    private void connectionEnded(QmpConnection connection) {
        ended.add(connection);
        if (selector.isOpen()) {
            selector.wakeup();
        }
    }

    private void onServerThread(Callable<?> work) throws IOException {
        FutureTask<?> task = new FutureTask<>(work);
        tasks.add(task);
        if (stopping) {
            // Nobody is left to run it, and every socket is closed or about to be.
            return;
        }
        selector.wakeup();
        try {
            task.get(STOP_DEADLINE.toMillis(), TimeUnit.MILLISECONDS);
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException io -> throw io;
                case RuntimeException bug -> throw bug;
                case null, default -> throw new IllegalStateException("the control sockets failed", e);
            }
        } catch (TimeoutException e) {
            throw new IOException("thread ctl-accept did not answer within " + STOP_DEADLINE, e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for thread ctl-accept", e);
        }
    }

    private static void join(Thread other) {
        try {
            if (!other.join(STOP_DEADLINE)) {
                log.atWarn()
                        .addKeyValue("thread", other.getName())
                        .addKeyValue("stack", List.of(other.getStackTrace()))
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static int ownUid() throws IOException {
        return (int) Files.getAttribute(Path.of("/proc/self"), "unix:uid");
    }
}
