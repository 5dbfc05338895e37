package io.migrationd.migrationd.link;

import io.netty.channel.Channel;
import io.netty.channel.IoHandlerFactory;
import io.netty.channel.ServerChannel;
import io.netty.channel.epoll.Epoll;
import io.netty.channel.epoll.EpollDomainSocketChannel;
import io.netty.channel.epoll.EpollIoHandler;
import io.netty.channel.epoll.EpollServerDomainSocketChannel;
import io.netty.channel.epoll.EpollServerSocketChannel;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.nio.NioIoHandler;
import io.netty.channel.socket.nio.NioDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerDomainSocketChannel;
import io.netty.channel.socket.nio.NioServerSocketChannel;
import io.netty.channel.socket.nio.NioSocketChannel;
import io.netty.channel.unix.DomainSocketAddress;
import java.io.IOException;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which of Netty's transports this host has, and the files of Unix sockets. */
public final class Transport {
    private static final Logger log = LoggerFactory.getLogger(Transport.class);
    /** Flags of a listening socket in /proc/net/unix. */
    private static final String ACCEPTS_CONNECTIONS = "00010000";

    private static final boolean EPOLL = Epoll.isAvailable();

    static {
        if (!EPOLL) {
            log.atWarn()
                    .addKeyValue("reason", String.valueOf(Epoll.unavailabilityCause()))
                    .log("epoll transport missing");
        }
    }

    private Transport() {}

    /** Whether the options of {@code EpollChannelOption} can be set. */
    public static boolean isEpoll() {
        return EPOLL;
    }

    /** For an event loop group. */
    public static IoHandlerFactory ioHandlers() {
        return EPOLL ? EpollIoHandler.newFactory() : NioIoHandler.newFactory();
    }

    /** The address of {@code uri}; names are resolved, which may block. */
    public static SocketAddress address(MigrationUri uri) throws IOException {
        return switch (uri) {
            case MigrationUri.Tcp tcp -> tcp.resolve();
            case MigrationUri.Unix unix ->
                EPOLL ? new DomainSocketAddress(unix.path()) : UnixDomainSocketAddress.of(unix.path());
        };
    }

    /** Channels that connect to {@code uri}. */
    public static Class<? extends Channel> clientClass(MigrationUri uri) {
        return switch (uri) {
            case MigrationUri.Tcp tcp -> EPOLL ? EpollSocketChannel.class : NioSocketChannel.class;
            case MigrationUri.Unix unix -> EPOLL ? EpollDomainSocketChannel.class : NioDomainSocketChannel.class;
        };
    }

    /** Channels that listen at {@code uri}. */
    public static Class<? extends ServerChannel> serverClass(MigrationUri uri) {
        return switch (uri) {
            case MigrationUri.Tcp tcp -> EPOLL ? EpollServerSocketChannel.class : NioServerSocketChannel.class;
            case MigrationUri.Unix unix ->
                EPOLL ? EpollServerDomainSocketChannel.class : NioServerDomainSocketChannel.class;
        };
    }

    /**
     * A socket file that nobody listens on is left over from a process that was killed; QEMU removes it as well. Asked
     * of the kernel's list and not by a connection: who listens for a migration takes the first one for its source.
     */
    public static void removeStaleSocket(MigrationUri uri) throws IOException {
        if (!(uri instanceof MigrationUri.Unix unix) || !Files.exists(Path.of(unix.path()))) {
            return;
        }
        Path path = Path.of(unix.path());
        if (!Files.readAttributes(path, BasicFileAttributes.class).isOther()) {
            throw new IOException("can't listen at " + uri + ": it is no socket");
        }
        if (isListenedAt(unix.path())) {
            throw new IOException("can't listen at " + uri + ": another process does");
        }
        deleteSocket(path);
    }

    /** Removes the file of a socket that was ours. */
    public static void deleteSocket(Path path) {
        try {
            Files.deleteIfExists(path);
        } catch (IOException e) {
            log.atWarn().addKeyValue("path", path).setCause(e).log("socket file not removed");
        }
    }

    /** Wire source: Linux net/unix/af_unix.c, unix_seq_show: the fourth column is the flags, the last one the path. */
    private static boolean isListenedAt(String path) throws IOException {
        String sockets = new String(Files.readAllBytes(Path.of("/proc/net/unix")), StandardCharsets.UTF_8);
        return sockets.lines()
                .filter(line -> line.endsWith(" " + path))
                .anyMatch(line -> line.split(" +", 5)[3].equals(ACCEPTS_CONNECTIONS));
    }
}
