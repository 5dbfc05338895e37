package io.migrationd.migrationd.link;

import io.netty.bootstrap.Bootstrap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.channel.EventLoopGroup;
import io.netty.channel.MultiThreadIoEventLoopGroup;
import io.netty.channel.socket.DuplexChannel;
import io.netty.util.concurrent.DefaultThreadFactory;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Connects and listens. Owns the event loop threads {@code link-io}; what it opened is closed by who asked for it. */
public final class Links implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Links.class);
    private static final int THREADS = 2;
    private static final long WATCH_MILLIS = 200;

    private final EventLoopGroup group;
    private final long connectTimeoutMillis;
    private final long stallTimeoutMillis;

    /**
     * Starts the event loops.
     *
     * @param stallTimeoutMillis how long a peer may take no byte before the connection counts as broken
     */
    public Links(long connectTimeoutMillis, long stallTimeoutMillis) {
        this.group = new MultiThreadIoEventLoopGroup(
                THREADS, new DefaultThreadFactory("link-io", true), Transport.ioHandlers());
        this.connectTimeoutMillis = connectTimeoutMillis;
        this.stallTimeoutMillis = stallTimeoutMillis;
    }

    /** A listening socket. */
    public interface Listener extends AutoCloseable {
        /** Where it listens, with the real port. */
        MigrationUri uri();

        /** Stops to listen; connections that were accepted live on. A Unix socket's file is removed. */
        @Override
        void close();
    }

    /** A connection that is being made. */
    public interface Connecting {
        /** Blocks until it stands, at most the connect timeout. */
        MigrationChannel await() throws IOException;

        /** Gives up; who waits fails at once. A connection that stands already is closed. */
        void cancel();
    }

    /** Connects; blocks at most the connect timeout. */
    public MigrationChannel connect(MigrationUri uri) throws IOException {
        return beginConnect(uri).await();
    }

    /** Begins to connect, for who may want to give up. */
    public Connecting beginConnect(MigrationUri uri) throws IOException {
        return beginConnect(uri, connectTimeoutMillis);
    }

    /** The same, with another timeout. */
    public Connecting beginConnect(MigrationUri uri, long timeoutMillis) throws IOException {
        AtomicReference<NettyChannel> connected = new AtomicReference<>();
        Bootstrap bootstrap = new Bootstrap()
                .group(group)
                .channel(Transport.clientClass(uri))
                .option(ChannelOption.CONNECT_TIMEOUT_MILLIS, (int) timeoutMillis)
                .handler(initializer(channel -> uri.toString(), connected::set));
        ChannelFuture future = bootstrap.connect(Transport.address(uri));
        return new Connecting() {
            @Override
            public MigrationChannel await() throws IOException {
                if (!future.awaitUninterruptibly(timeoutMillis + 1000)) {
                    future.cancel(false);
                    throw new IOException("no connection to %s within %d ms".formatted(uri, timeoutMillis));
                }
                NettyChannel channel = connected.get();
                if (!future.isSuccess() || channel == null) {
                    throw new IOException("no connection to " + uri, future.cause());
                }
                return channel;
            }

            @Override
            public void cancel() {
                if (!future.cancel(false)) {
                    future.channel()
                            .close()
                            .addListener(closed ->
                                    log.atDebug().addKeyValue("uri", uri).log("connection given up"));
                }
            }
        };
    }

    /** Listens; {@code accepted} gets every connection on an event loop and must not block there. */
    public Listener listen(MigrationUri uri, Consumer<MigrationChannel> accepted) throws IOException {
        Transport.removeStaleSocket(uri);
        ServerBootstrap bootstrap = new ServerBootstrap()
                .group(group)
                .channel(Transport.serverClass(uri))
                .option(ChannelOption.SO_BACKLOG, 8)
                .childHandler(initializer(channel -> "a caller at " + localName(channel, uri), accepted::accept));
        ChannelFuture future = bootstrap.bind(Transport.address(uri)).awaitUninterruptibly();
        if (!future.isSuccess()) {
            throw new IOException("can't listen at " + uri, future.cause());
        }
        Channel server = future.channel();
        MigrationUri bound = uri instanceof MigrationUri.Tcp ? MigrationUri.of(server.localAddress()) : uri;
        AtomicBoolean open = new AtomicBoolean(true);
        return new Listener() {
            @Override
            public MigrationUri uri() {
                return bound;
            }

            @Override
            public void close() {
                // Once only: later the path may be somebody else's.
                if (!open.getAndSet(false)) {
                    return;
                }
                server.close().awaitUninterruptibly(TimeUnit.SECONDS.toMillis(2));
                if (uri instanceof MigrationUri.Unix unix) {
                    Transport.deleteSocket(Path.of(unix.path()));
                }
            }
        };
    }

    /** Runs something small once, after a while; not at all if this is closed before. */
    public void later(long millis, Runnable action) {
        var _ = group.schedule(action, millis, TimeUnit.MILLISECONDS);
    }

    /** Something that is looked at again and again until it is closed. */
    public interface Watch extends AutoCloseable {
        @Override
        void close();
    }

    /**
     * Looks at a connection every {@link #WATCH_MILLIS}: when {@code verdict} says why it counts as broken, it is
     * aborted with these words. {@code verdict} must not block.
     */
    public Watch watch(MigrationChannel channel, Supplier<Optional<String>> verdict) {
        ScheduledFuture<?> looking = group.scheduleWithFixedDelay(
                () -> verdict.get().ifPresent(why -> channel.abort(new IOException(why))),
                WATCH_MILLIS,
                WATCH_MILLIS,
                TimeUnit.MILLISECONDS);
        return () -> looking.cancel(false);
    }

    /** Gives the memory of a channel's input back when no thread reads it any more. */
    public static void releaseInput(MigrationChannel channel) {
        if (channel instanceof NettyChannel netty) {
            netty.releaseInput();
        }
    }

    @Override
    public void close() {
        group.shutdownGracefully(0, 2, TimeUnit.SECONDS).awaitUninterruptibly(5, TimeUnit.SECONDS);
    }

    private ChannelInitializer<Channel> initializer(Function<Channel, String> peer, Consumer<NettyChannel> ready) {
        return new ChannelInitializer<>() {
            @Override
            protected void initChannel(Channel channel) {
                LinkOptions.configure(channel, stallTimeoutMillis);
                NettyChannel link = new NettyChannel((DuplexChannel) channel, peer.apply(channel), stallTimeoutMillis);
                channel.pipeline().addLast(link);
                ready.accept(link);
            }
        };
    }

    /** The address that was called, with the real port. */
    private static String localName(Channel accepted, MigrationUri uri) {
        return uri instanceof MigrationUri.Tcp
                ? MigrationUri.of(accepted.localAddress()).toString()
                : uri.toString();
    }
}
