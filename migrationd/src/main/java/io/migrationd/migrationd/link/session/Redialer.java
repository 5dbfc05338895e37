package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.Transport;
import io.migrationd.migrationd.link.session.PeerFrame.Hello;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoop;
import java.io.IOException;
import java.net.SocketAddress;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Brings connections to a session that we dialed, from any address of the peer, until the session is over. */
final class Redialer implements LinkedSession.Holder, PeerConnection.Owner {
    private static final Logger log = LoggerFactory.getLogger(Redialer.class);
    private static final int MAX_DOUBLINGS = 20;

    private final EventLoop loop;
    private final LinkedSession session;
    private final String expectedHost;
    private final List<MigrationUri> addresses;
    private final PeerSettings settings;
    private final Optional<PeerTls> tls;
    private final RandomGenerator random;
    private final Runnable whenOver;

    // Event loop.
    private @Nullable UUID incarnation;
    private @Nullable PeerConnection pending;
    /** Failed attempts since the last connection that stood. */
    private int failures;

    private int nextAddress;

    Redialer(
            EventLoop loop,
            LinkedSession session,
            String expectedHost,
            List<MigrationUri> addresses,
            PeerSettings settings,
            Optional<PeerTls> tls,
            RandomGenerator random,
            Runnable whenOver) {
        this.loop = loop;
        this.session = session;
        this.expectedHost = expectedHost;
        this.addresses = List.copyOf(addresses);
        this.settings = settings;
        this.tls = tls;
        this.random = random;
        this.whenOver = whenOver;
        session.hold(this);
    }

    /** Event loop: the first attempt. */
    void start() {
        dial();
    }

    @Override
    public void connectionLost() {
        if (pending == null) {
            later();
        }
    }

    @Override
    public void over() {
        if (pending != null) {
            pending.close("the session is over");
        }
        whenOver.run();
    }

    /** Half of the pause is a matter of chance: peers that were cut together do not come back together. */
    private void later() {
        if (session.isOver()) {
            return;
        }
        int round = Math.min(failures / addresses.size(), MAX_DOUBLINGS);
        long pause = Math.min(settings.reconnectMinMillis() << round, settings.reconnectMaxMillis());
        long millis = failures == 0 ? random.nextLong(pause / 2 + 1) : pause / 2 + random.nextLong(pause / 2 + 1);
        var _ = loop.schedule(this::dial, millis, TimeUnit.MILLISECONDS);
    }

    private void dial() {
        if (session.isOver() || pending != null) {
            return;
        }
        MigrationUri uri = addresses.get(nextAddress++ % addresses.size());
        PeerConnection connection = new PeerConnection(this, uri.toString());
        pending = connection;
        // A name may take its time to be resolved, and must not hold up the event loop.
        Thread.ofVirtual().name("peer-resolve").start(() -> {
            try {
                SocketAddress address = Transport.address(uri);
                loop.execute(() -> connect(connection, uri, address));
            } catch (IOException e) {
                loop.execute(() -> failed(connection, String.valueOf(e)));
            }
        });
    }

    private void connect(PeerConnection connection, MigrationUri uri, SocketAddress address) {
        if (pending != connection || session.isOver()) {
            return;
        }
        new Bootstrap()
                .group(loop)
                .channel(Transport.clientClass(uri))
                .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, (int) settings.deadMillis())
                .handler(new ChannelInitializer<>() {
                    @Override
                    protected void initChannel(Channel channel) {
                        PeerConnection.configure(channel, settings.deadMillis());
                        tls.ifPresent(with -> channel.pipeline()
                                .addLast(with.clientHandler(channel.alloc(), 2 * settings.deadMillis())));
                        channel.pipeline().addLast(connection);
                        connection.requireHello(3 * settings.deadMillis());
                    }
                })
                .connect(address)
                .addListener(done -> {
                    if (!done.isSuccess()) {
                        failed(connection, String.valueOf(done.cause()));
                    }
                });
    }

    private void failed(PeerConnection connection, String reason) {
        connection.close(reason);
    }

    @Override
    public void ready(PeerConnection connection) throws IOException {
        Optional<PeerTls.Certificate> certificate = connection.certificate();
        if (certificate.isPresent() && !certificate.get().names().contains(expectedHost)) {
            throw new IOException("the certificate at %s is for %s, not for %s"
                    .formatted(connection.address(), certificate.get().names(), expectedHost));
        }
        connection.write(session.hello(incarnation != null));
        connection.flush();
        connection.requireHello(settings.deadMillis());
    }

    @Override
    public PeerConnection.Frames hello(PeerConnection connection, Hello hello) throws IOException {
        if (!hello.session().equals(session.id())) {
            throw new IOException("the peer answers for another session");
        }
        UUID now = hello.identity().incarnation();
        if (incarnation != null && !incarnation.equals(now)) {
            session.lose("the peer's daemon was started anew");
            return session;
        }
        session.attach(connection, hello);
        incarnation = now;
        pending = null;
        failures = 0;
        return session;
    }

    @Override
    public void closed(PeerConnection connection, String reason) {
        if (pending == connection) {
            pending = null;
            failures++;
            log.atDebug()
                    .addKeyValue("address", connection.address())
                    .addKeyValue("reason", reason)
                    .log("no connection for the session");
            later();
        } else {
            session.detach(connection, reason);
        }
    }

    @Override
    public void goodbye(PeerConnection connection, String reason) {
        session.lose("the peer said goodbye: " + reason);
    }
}
