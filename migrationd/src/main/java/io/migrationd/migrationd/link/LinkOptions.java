package io.migrationd.migrationd.link;

import io.netty.channel.Channel;
import io.netty.channel.ChannelOption;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.socket.SocketChannel;
import java.util.Map;

/** Socket options of every migration connection. */
final class LinkOptions {
    /** One read takes up to this much, so that page records are mostly whole within one buffer. */
    private static final int RECEIVE_BYTES = 256 * 1024;

    /** A peer that is gone without a word is noticed: idle after 15 s, with data on the way after 20 s. */
    private static final Map<ChannelOption<?>, Object> DEAD_PEER = Map.of(
            EpollChannelOption.TCP_KEEPIDLE, 5,
            EpollChannelOption.TCP_KEEPINTVL, 2,
            EpollChannelOption.TCP_KEEPCNT, 5,
            EpollChannelOption.TCP_USER_TIMEOUT, 20_000);

    private LinkOptions() {}

    static void configure(Channel channel) {
        channel.config().setRecvByteBufAllocator(new FixedRecvByteBufAllocator(RECEIVE_BYTES));
        // The peer may end its direction first: what we still have to say (SHUT) must get out.
        channel.config().setOption(ChannelOption.ALLOW_HALF_CLOSURE, true);
        if (channel instanceof SocketChannel tcp) {
            tcp.config().setTcpNoDelay(true);
            tcp.config().setKeepAlive(true);
            channel.config().setOptions(DEAD_PEER);
        }
    }

    static void lingerZero(Channel channel) {
        if (channel instanceof SocketChannel tcp) {
            tcp.config().setSoLinger(0);
        }
    }
}
