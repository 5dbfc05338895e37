package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.Transport;
import io.netty.channel.EventLoop;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.util.concurrent.DefaultThreadFactory;
import io.netty.util.concurrent.Future;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

/**
 * Sessions with the daemons of other hosts: listens for them and dials them. Owns the event loop thread
 * {@code peer-io}, on which all of its sessions and relays run, and the threads of the sessions.
 */
public final class PeerLinks implements AutoCloseable {
    private static final long CLOSE_MILLIS = 5000;

    private final MultiThreadIoEventLoopGroup group;
    private final EventLoop loop;
    private final PeerIdentity self;
    private final PeerSettings settings;
    private final Optional<PeerTls> tls;
    private final SplittableRandom random = new SplittableRandom();

    // Event loop.
    private final Set<LinkedSession> dialed = new HashSet<>();
    private final Set<PeerServer> servers = new HashSet<>();

    /** Starts the event loop. */
    public PeerLinks(PeerIdentity self, PeerSettings settings, Optional<PeerTls> tls) {
        this.group =
                new MultiThreadIoEventLoopGroup(1, new DefaultThreadFactory("peer-io", true), Transport.ioHandlers());
        this.loop = group.next();
        this.self = self;
        this.settings = settings;
        this.tls = tls;
    }

    /** Who we are to our peers. */
    public PeerIdentity self() {
        return self;
    }

    /** The TLS in use, with the end of our certificate. */
    public Optional<PeerTls> tls() {
        return tls;
    }

    /**
     * Listens for peers.
     *
     * @param accepted gets each new session on the session's own thread, before anything else of it
     * @throws PeerSetupException the address is not loopback and there is no TLS
     */
    public PeerServer listen(MigrationUri uri, Consumer<PeerSession> accepted) throws IOException {
        PeerServer server = PeerServer.listen(loop, self, settings, tls, uri, accepted);
        loop.execute(() -> servers.add(server));
        return server;
    }

    /**
     * Begins a session and goes on to dial until it is closed or lost. Does not wait.
     *
     * @param host the peer's name; with TLS its certificate must be for it
     * @param addresses at least one, tried in turn
     */
    public PeerSession dial(String host, List<MigrationUri> addresses) {
        if (addresses.isEmpty()) {
            throw new IllegalArgumentException("no address of " + host);
        }
        LinkedSession session = new LinkedSession(loop, UUID.randomUUID(), true, self, settings, host);
        Redialer redialer = new Redialer(
                loop, session, host, addresses, settings, tls, random.split(), () -> dialed.remove(session));
        loop.execute(() -> {
            dialed.add(session);
            redialer.start();
        });
        return session;
    }

    /** Says goodbye to all peers and stops. Sessions are lost. */
    @Override
    public void close() {
        List<LinkedSession> sessions = new ArrayList<>();
        Future<?> collected = loop.submit(() -> {
            sessions.addAll(dialed);
            servers.forEach(server -> sessions.addAll(server.sessions()));
        });
        if (!collected.awaitUninterruptibly(CLOSE_MILLIS)) {
            return;
        }
        servers.forEach(PeerServer::close);
        sessions.forEach(LinkedSession::close);
        sessions.forEach(LinkedSession::join);
        group.shutdownGracefully(0, 2, TimeUnit.SECONDS).awaitUninterruptibly(CLOSE_MILLIS);
    }
}
