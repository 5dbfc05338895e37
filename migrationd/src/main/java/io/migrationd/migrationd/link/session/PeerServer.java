package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.Transport;
import io.migrationd.migrationd.link.session.PeerFrame.Goodbye;
import io.migrationd.migrationd.link.session.PeerFrame.Hello;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.ScheduledFuture;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Listens for peers and keeps the sessions that they dialed. */
public final class PeerServer implements AutoCloseable, PeerConnection.Owner {
    private static final Logger log = LoggerFactory.getLogger(PeerServer.class);
    private static final int MAX_SESSIONS = 256;
    private static final int MAX_STRANGERS = 64;
    private static final long CLOSE_MILLIS = 2000;

    private final EventLoop loop;
    private final PeerIdentity self;
    private final PeerSettings settings;
    private final Optional<PeerTls> tls;
    private final Consumer<PeerSession> accepted;
    private final MigrationUri asked;
    private final MigrationUri uri;
    private final Channel server;

    // Event loop.
    private final Map<UUID, Held> sessions = new HashMap<>();
    private final Set<PeerConnection> strangers = new HashSet<>();
    private final Map<PeerConnection, LinkedSession> connected = new HashMap<>();

    private final class Held implements LinkedSession.Holder {
        private final LinkedSession session;
        private final PeerIdentity peer;
        private @Nullable ScheduledFuture<?> expiry;

        private Held(LinkedSession session, PeerIdentity peer) {
            this.session = session;
            this.peer = peer;
        }

        @Override
        public void connectionLost() {
            if (settings.keepMillis() != PeerSettings.FOR_EVER) {
                expiry = loop.schedule(
                        () -> session.lose("no connection for %d ms".formatted(settings.keepMillis())),
                        settings.keepMillis(),
                        TimeUnit.MILLISECONDS);
            }
        }

        private void connectionBack() {
            if (expiry != null) {
                expiry.cancel(false);
            }
        }

        @Override
        public void over() {
            connectionBack();
            sessions.remove(session.id());
        }
    }

    private PeerServer(
            EventLoop loop,
            PeerIdentity self,
            PeerSettings settings,
            Optional<PeerTls> tls,
            Consumer<PeerSession> accepted,
            MigrationUri asked)
            throws IOException {
        this.loop = loop;
        this.self = self;
        this.settings = settings;
        this.tls = tls;
        this.accepted = accepted;
        this.asked = asked;
        Transport.removeStaleSocket(asked);
        ChannelFuture future = new ServerBootstrap()
                .group(loop)
                .channel(Transport.serverClass(asked))
                .option(ChannelOption.SO_BACKLOG, MAX_STRANGERS)
                .childHandler(new ChannelInitializer<>() {
                    @Override
                    protected void initChannel(Channel channel) {
                        greet(channel);
                    }
                })
                .bind(Transport.address(asked))
                .awaitUninterruptibly();
        if (!future.isSuccess()) {
            throw new IOException("can't listen for peers at " + asked, future.cause());
        }
        this.server = future.channel();
        this.uri = asked instanceof MigrationUri.Tcp ? MigrationUri.of(server.localAddress()) : asked;
    }

    static PeerServer listen(
            EventLoop loop,
            PeerIdentity self,
            PeerSettings settings,
            Optional<PeerTls> tls,
            MigrationUri uri,
            Consumer<PeerSession> accepted)
            throws IOException {
        if (tls.isEmpty() && uri instanceof MigrationUri.Tcp tcp && !tcp.isLoopback()) {
            throw new PeerSetupException(
                    "peer.listen = %s: allowed without TLS: unix:PATH and loopback addresses; ".formatted(uri)
                            + "set peer.tls.certificate, peer.tls.key and peer.tls.authority for others");
        }
        return new PeerServer(loop, self, settings, tls, accepted, uri);
    }

    /** Where it listens, with the real port. */
    public MigrationUri uri() {
        return uri;
    }

    private void greet(Channel channel) {
        if (strangers.size() >= MAX_STRANGERS) {
            log.atWarn().addKeyValue("limit", MAX_STRANGERS).log("too many callers that have said nothing");
            var _ = channel.close();
            return;
        }
        PeerConnection.configure(channel, settings.deadMillis());
        PeerConnection connection = new PeerConnection(this, String.valueOf(channel.remoteAddress()));
        strangers.add(connection);
        tls.ifPresent(
                with -> channel.pipeline().addLast(with.serverHandler(channel.alloc(), 2 * settings.deadMillis())));
        channel.pipeline().addLast(connection);
        connection.requireHello(3 * settings.deadMillis());
    }

    @Override
    public void ready(PeerConnection connection) {
        // The dialer speaks first.
    }

    @Override
    public PeerConnection.Frames hello(PeerConnection connection, Hello hello) throws IOException {
        String host = connection
                .certificate()
                .map(PeerTls.Certificate::name)
                .orElse(hello.identity().host());
        PeerIdentity peer = new PeerIdentity(host, hello.identity().incarnation());
        Held held = sessions.get(hello.session());
        if (held != null && !held.peer.equals(peer)) {
            throw new IOException("session %s belongs to %s, not to %s".formatted(hello.session(), held.peer, peer));
        }
        if (held == null) {
            if (hello.resume()) {
                connection.write(new Goodbye("no session " + hello.session() + " in this daemon"));
                connection.flush();
                throw new IOException("no session " + hello.session());
            }
            held = begin(hello, peer);
        }
        held.connectionBack();
        connection.write(held.session.hello(false));
        held.session.attach(connection, hello);
        strangers.remove(connection);
        connected.put(connection, held.session);
        return held.session;
    }

    private Held begin(Hello hello, PeerIdentity peer) throws IOException {
        for (Held other : List.copyOf(sessions.values())) {
            if (other.peer.host().equals(peer.host())
                    && !other.peer.incarnation().equals(peer.incarnation())) {
                other.session.lose("the daemon of %s was started anew".formatted(peer.host()));
            }
        }
        if (sessions.size() >= MAX_SESSIONS) {
            throw new IOException("%d sessions, the most that are possible".formatted(MAX_SESSIONS));
        }
        LinkedSession session = new LinkedSession(loop, hello.session(), false, self, settings, peer.host());
        Held held = new Held(session, peer);
        session.hold(held);
        sessions.put(hello.session(), held);
        session.post(() -> accepted.accept(session));
        return held;
    }

    @Override
    public void goodbye(PeerConnection connection, String reason) {
        // A caller that leaves before it has said who it is.
    }

    @Override
    public void closed(PeerConnection connection, String reason) {
        strangers.remove(connection);
        LinkedSession session = connected.remove(connection);
        if (session != null) {
            session.detach(connection, reason);
        } else {
            log.atDebug()
                    .addKeyValue("caller", connection.address())
                    .addKeyValue("reason", reason)
                    .log("caller left");
        }
    }

    /** Stops to listen. Sessions live on, but their peers can't come back to them. */
    @Override
    public void close() {
        if (!server.isOpen()) {
            return;
        }
        server.close().awaitUninterruptibly(CLOSE_MILLIS);
        if (asked instanceof MigrationUri.Unix unix) {
            Transport.deleteSocket(Path.of(unix.path()));
        }
    }

    /** Event loop: those that are not over. */
    List<LinkedSession> sessions() {
        return sessions.values().stream().map(held -> held.session).toList();
    }
}
