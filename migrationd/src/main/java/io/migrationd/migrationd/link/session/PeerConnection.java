package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.Transport;
import io.migrationd.migrationd.link.session.PeerFrame.Data;
import io.migrationd.migrationd.link.session.PeerFrame.Hello;
import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.PooledByteBufAllocator;
import io.netty.buffer.Unpooled;
import io.netty.channel.Channel;
import io.netty.channel.ChannelException;
import io.netty.channel.ChannelHandlerContext;
import io.netty.channel.ChannelInboundHandlerAdapter;
import io.netty.channel.FixedRecvByteBufAllocator;
import io.netty.channel.WriteBufferWaterMark;
import io.netty.channel.epoll.EpollChannelOption;
import io.netty.channel.socket.SocketChannel;
import io.netty.handler.ssl.SslHandler;
import io.netty.handler.ssl.SslHandshakeCompletionEvent;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** One connection of a session: cuts bytes into frames. The bytes of channels pass as they come, without a copy. */
final class PeerConnection extends ChannelInboundHandlerAdapter {
    private static final Logger log = LoggerFactory.getLogger(PeerConnection.class);
    private static final int RECEIVE_BYTES = 256 * 1024;
    /** A smaller piece is copied, so that it does not hold a whole receive buffer. */
    private static final int COPY_BYTES = 4096;

    /**
     * How deep the connection is filled.
     *
     * @param outgoingBytes bulk stops to be handed over when so much waits in front of the socket
     * @param unsentBytes what the kernel may hold that it has not sent
     */
    private record Depth(int outgoingBytes, long unsentBytes) {
        void applyTo(Channel channel) {
            channel.config().setWriteBufferWaterMark(new WriteBufferWaterMark(outgoingBytes / 2, outgoingBytes));
            if (channel instanceof SocketChannel && Transport.isEpoll()) {
                channel.config().setOption(EpollChannelOption.TCP_NOTSENT_LOWAT, unsentBytes);
            }
        }
    }

    /** A requested page waits behind this. */
    private static final Depth SHALLOW = new Depth(128 * 1024, 64 * 1024);

    /** Nobody waits for a part of it: fewer wakings. */
    private static final Depth DEEP = new Depth(1 << 20, 1 << 20);

    /** Who takes what arrives. All calls on the event loop. */
    interface Owner {
        /** The bytes may flow: with TLS the handshake is done. */
        void ready(PeerConnection connection) throws IOException;

        /** The first frame; says who takes the others. */
        Frames hello(PeerConnection connection, Hello hello) throws IOException;

        /** Instead of a hello: there is no such session. */
        void goodbye(PeerConnection connection, String reason);

        /** It is over, for the first time. */
        void closed(PeerConnection connection, String reason);
    }

    /** Takes the frames behind the first one. */
    interface Frames {
        void frame(PeerFrame frame) throws ProtocolException;

        /** {@code bytes} are the callee's. */
        void data(int channel, long offset, ByteBuf bytes) throws ProtocolException;

        /** For now nothing more comes. */
        void readComplete();

        /** The socket takes bytes again. */
        void writable();
    }

    private final Owner owner;
    private final String address;
    private final ByteBuffer header = ByteBuffer.allocate(PeerFrameCodec.HEADER_BYTES);
    private @Nullable ByteBuffer head;
    private @Nullable Frames frames;
    private @Nullable Channel channel;
    private long position;
    private long lastHeardNanos = System.nanoTime();
    private int dataChannel;
    private long dataOffset;
    private int dataLeft;
    private boolean over;

    PeerConnection(Owner owner, String address) {
        this.owner = owner;
        this.address = address;
    }

    /** Options of the socket, before it is connected or when it was accepted. */
    static void configure(Channel channel, long deadMillis) {
        channel.config().setAllocator(PooledByteBufAllocator.DEFAULT);
        channel.config().setRecvByteBufAllocator(new FixedRecvByteBufAllocator(RECEIVE_BYTES));
        SHALLOW.applyTo(channel);
        if (channel instanceof SocketChannel tcp) {
            tcp.config().setTcpNoDelay(true);
            tcp.config().setKeepAlive(true);
            if (Transport.isEpoll()) {
                channel.config().setOption(EpollChannelOption.TCP_USER_TIMEOUT, (int)
                        Math.min(2 * deadMillis, Integer.MAX_VALUE));
            }
        }
    }

    String address() {
        return address;
    }

    long lastHeardNanos() {
        return lastHeardNanos;
    }

    /** Whether all that it carries is bulk that nobody waits for a part of. */
    void deep(boolean on) {
        if (channel == null || over || !channel.isOpen()) {
            return;
        }
        try {
            (on ? DEEP : SHALLOW).applyTo(channel);
        } catch (ChannelException e) {
            // It has just broken, which is heard of by itself.
            log.atDebug().addKeyValue("address", address).setCause(e).log("depth not set");
        }
    }

    /** Most bytes to write between two flushes. */
    int batchBytes() {
        return channel == null ? 0 : channel.config().getWriteBufferWaterMark().high();
    }

    /** The names and the end of the peer's certificate. */
    Optional<PeerTls.Certificate> certificate() throws IOException {
        SslHandler tls = channel == null ? null : channel.pipeline().get(SslHandler.class);
        return tls == null
                ? Optional.empty()
                : Optional.of(PeerTls.certificateOf(tls.engine().getSession()));
    }

    @Override
    public void handlerAdded(ChannelHandlerContext context) {
        channel = context.channel();
    }

    @Override
    public void channelActive(ChannelHandlerContext context) throws IOException {
        if (context.pipeline().get(SslHandler.class) == null) {
            ready();
        }
    }

    private void ready() {
        lastHeardNanos = System.nanoTime();
        try {
            owner.ready(this);
        } catch (IOException e) {
            close(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public void userEventTriggered(ChannelHandlerContext context, Object event) {
        if (event instanceof SslHandshakeCompletionEvent handshake) {
            if (handshake.isSuccess()) {
                ready();
            } else {
                close("no TLS: " + handshake.cause().getMessage());
            }
        }
    }

    @Override
    public void channelRead(ChannelHandlerContext context, Object message) {
        ByteBuf bytes = (ByteBuf) message;
        lastHeardNanos = System.nanoTime();
        try {
            while (!over && bytes.isReadable()) {
                decode(bytes);
            }
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("address", address)
                    .addKeyValue("reason", e.getMessage())
                    .log("connection of a session refused");
            close(String.valueOf(e.getMessage()));
        } finally {
            bytes.release();
        }
    }

    private void decode(ByteBuf bytes) throws IOException {
        if (dataLeft > 0) {
            passData(bytes);
            return;
        }
        long start = position;
        if (header.hasRemaining()) {
            fill(header, bytes);
            if (!header.hasRemaining()) {
                int length = PeerFrameCodec.headLength(header.getInt(0), start);
                head = ByteBuffer.allocate(length);
            }
        } else if (head != null) {
            fill(head, bytes);
        }
        if (head != null && !head.hasRemaining()) {
            ByteBuffer whole = head.flip();
            head = null;
            header.clear();
            dispatch(PeerFrameCodec.decode(header.getInt(0), whole, start));
        }
    }

    private void fill(ByteBuffer target, ByteBuf source) {
        int count = Math.min(target.remaining(), source.readableBytes());
        int limit = target.limit();
        target.limit(target.position() + count);
        source.readBytes(target);
        target.limit(limit);
        position += count;
    }

    private void dispatch(PeerFrame frame) throws IOException {
        Frames taker = frames;
        if (taker == null) {
            if (frame instanceof PeerFrame.Goodbye(String reason)) {
                owner.goodbye(this, reason);
                close("goodbye: " + reason);
                return;
            }
            if (!(frame instanceof Hello hello)) {
                throw new ProtocolException(
                        "frame", position, "hello first", frame.getClass().getSimpleName());
            }
            frames = owner.hello(this, hello);
        } else if (frame instanceof Data(int toChannel, long offset, int length)) {
            dataChannel = toChannel;
            dataOffset = offset;
            dataLeft = length;
        } else {
            taker.frame(frame);
        }
    }

    private void passData(ByteBuf bytes) throws ProtocolException {
        int count = Math.min(dataLeft, bytes.readableBytes());
        ByteBuf piece = count < COPY_BYTES ? bytes.alloc().buffer(count) : bytes.readRetainedSlice(count);
        if (count < COPY_BYTES) {
            bytes.readBytes(piece, count);
        }
        long offset = dataOffset;
        position += count;
        dataOffset += count;
        dataLeft -= count;
        Frames taker = frames;
        if (taker == null) {
            piece.release();
            throw new IllegalStateException("bytes before the hello");
        }
        taker.data(dataChannel, offset, piece);
    }

    @Override
    public void channelReadComplete(ChannelHandlerContext context) {
        if (frames != null && !over) {
            frames.readComplete();
        }
    }

    @Override
    public void channelWritabilityChanged(ChannelHandlerContext context) {
        if (frames != null && !over && context.channel().isWritable()) {
            frames.writable();
        }
    }

    @Override
    public void channelInactive(ChannelHandlerContext context) {
        close("the peer ended the connection");
    }

    @Override
    public void exceptionCaught(ChannelHandlerContext context, Throwable cause) {
        if (cause instanceof Error || cause instanceof RuntimeException) {
            log.atError().setCause(cause).log("connection of a session failed");
        }
        close(String.valueOf(cause.getMessage()));
    }

    boolean isOver() {
        return over;
    }

    boolean isWritable() {
        return !over && channel != null && channel.isWritable();
    }

    void write(PeerFrame frame) {
        writeBytes(Unpooled.wrappedBuffer(PeerFrameCodec.encode(frame)));
    }

    /** Writes bytes of a channel, which become the connection's. */
    void write(int toChannel, long offset, ByteBuf bytes) {
        int length = bytes.readableBytes();
        Channel to = channel;
        if (to == null) {
            bytes.release();
            return;
        }
        ByteBuf start = to.alloc().directBuffer(PeerFrameCodec.HEADER_BYTES + PeerFrameCodec.DATA_HEAD_BYTES);
        PeerFrameCodec.writeDataHead(start, toChannel, offset, length);
        writeBytes(start);
        writeBytes(bytes);
    }

    private void writeBytes(ByteBuf bytes) {
        if (channel == null || over) {
            bytes.release();
            return;
        }
        // A failed write closes the connection, which is heard of by itself.
        var _ = channel.write(bytes, channel.voidPromise());
    }

    void flush() {
        if (channel != null && !over) {
            channel.flush();
        }
    }

    /** Ends it if nothing was heard within {@code millis} from the start and no hello came. */
    void requireHello(long millis) {
        if (channel != null) {
            var _ = channel.eventLoop()
                    .schedule(
                            () -> {
                                if (frames == null) {
                                    close("no hello within " + millis + " ms");
                                }
                            },
                            millis,
                            TimeUnit.MILLISECONDS);
        }
    }

    /** Nothing of it is taken any more; its owner hears it once. */
    void close(String reason) {
        if (over) {
            return;
        }
        over = true;
        if (channel != null) {
            var _ = channel.close();
        }
        owner.closed(this, reason);
    }

    /** Sends what was written and then ends, without a word to the owner. */
    void finish() {
        if (!over && channel != null) {
            channel.flush();
            over = true;
            var _ = channel.close();
        }
    }
}
