package io.migrationd.migrationd.link;

import io.netty.buffer.PooledByteBufAllocator;
import io.netty.channel.Channel;
import io.netty.channel.ChannelException;
import io.netty.channel.ChannelOption;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.epoll.EpollSocketChannel;
import io.netty.channel.socket.SocketChannel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Socket options of every migration connection. */
final class LinkOptions {
    /** One read takes up to this much, so that page records are mostly whole within one buffer. */
    static final int RECEIVE_BYTES = 256 * 1024;

    /** What the kernel may hold that it has not sent yet, where somebody may wait for the next page. */
    private static final long SHORT_QUEUE_UNSENT_BYTES = 128 * 1024;

    /** What a peer may send ahead of a reader on a short path: a third of a millisecond of a fast reader's work. */
    private static final int SHORT_INPUT_BYTES = 256 * 1024;

    /** A path that carries this much must not be slowed down: 20 Gbit/s. */
    private static final long KEPT_BYTES_PER_MICRO = 2_500;

    private static final Path MOST_INPUT = Path.of("/proc/sys/net/core/rmem_max");

    private static final int KEEPALIVE_SECONDS = 1;

    private LinkOptions() {}

    static void configure(Channel channel, long stallTimeoutMillis) {
        channel.config().setRecvByteBufAllocator(new FixedRecvByteBufAllocator(RECEIVE_BYTES));
        // Netty's default allocator makes, and fills with zeroes, new memory for most buffers of this size.
        channel.config().setAllocator(PooledByteBufAllocator.DEFAULT);
        // The peer may end its direction first: what we still have to say (SHUT) must get out.
        channel.config().setOption(ChannelOption.ALLOW_HALF_CLOSURE, true);
        if (channel instanceof SocketChannel tcp) {
            tcp.config().setTcpNoDelay(true);
            tcp.config().setKeepAlive(true);
            channel.config().setOptions(deadPeer(stallTimeoutMillis));
        }
    }

    /** Any thread: the socket may be closed meanwhile, and then nothing of it lingers. */
    static void lingerZero(Channel channel) {
        if (channel instanceof SocketChannel tcp) {
            try {
                tcp.config().setSoLinger(0);
            } catch (ChannelException e) {
                if (channel.isOpen()) {
                    throw e;
                }
            }
        }
    }

    /** Event loop. See {@link MigrationChannel#keepQueueShort}. */
    static void keepQueueShort(Channel channel) {
        if (channel instanceof SocketChannel && channel.isActive()) {
            channel.config().setOption(EpollChannelOption.TCP_NOTSENT_LOWAT, SHORT_QUEUE_UNSENT_BYTES);
        }
    }

    /**
     * The round trip as the handshake has measured it, or -1: later ones contain what waits in the peer's buffers and
     * ours.
     */
    static long roundTripMicros(Channel channel) {
        return channel instanceof EpollSocketChannel tcp ? tcp.tcpInfo().rtt() : -1;
    }

    /**
     * See {@link MigrationChannel#keepInputShort}. The kernel grows a receive buffer to megabytes when a reader is
     * busy; one that was set stays as it is. What it must hold is what the path holds; if that is more than the host's
     * limit allows to set, the kernel's own way is left.
     */
    static void keepInputShort(Channel channel, long roundTripMicros) {
        if (roundTripMicros < 0 || !channel.isOpen()) {
            return;
        }
        long wanted = Math.max(SHORT_INPUT_BYTES, roundTripMicros * KEPT_BYTES_PER_MICRO);
        if (wanted <= mostInput()) {
            try {
                channel.config().setOption(ChannelOption.SO_RCVBUF, (int) wanted);
            } catch (ChannelException e) {
                if (channel.isOpen()) {
                    throw e;
                }
            }
        }
    }

    private static long mostInput() {
        try {
            return Long.parseLong(Files.readString(MOST_INPUT).strip());
        } catch (IOException | NumberFormatException e) {
            return 0;
        }
    }

    /**
     * Event loop. See {@link MigrationChannel#deadPeerTimeout}. With both set the kernel ends an idle connection by the
     * user timeout, not by the count of its probes: tcp(7).
     */
    static void deadPeerTimeout(Channel channel, long millis) {
        if (channel instanceof SocketChannel && channel.isActive()) {
            channel.config()
                    .setOptions(Map.of(
                            EpollChannelOption.TCP_KEEPIDLE,
                            KEEPALIVE_SECONDS,
                            EpollChannelOption.TCP_KEEPINTVL,
                            KEEPALIVE_SECONDS,
                            EpollChannelOption.TCP_USER_TIMEOUT,
                            (int) Math.min(millis, Integer.MAX_VALUE)));
        }
    }

    /**
     * A peer that is gone without a word: noticed after 15 s when idle, after the stall timeout with data on the way.
     */
    private static Map<ChannelOption<?>, Object> deadPeer(long stallTimeoutMillis) {
        return Map.of(
                EpollChannelOption.TCP_KEEPIDLE, 5,
                EpollChannelOption.TCP_KEEPINTVL, 2,
                EpollChannelOption.TCP_KEEPCNT, 5,
                EpollChannelOption.TCP_USER_TIMEOUT, (int) Math.min(stallTimeoutMillis, Integer.MAX_VALUE));
    }
}
