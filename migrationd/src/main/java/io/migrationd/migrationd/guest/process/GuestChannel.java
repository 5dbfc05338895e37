package io.migrationd.migrationd.guest.process;

import io.migrationd.protocol.wire.ProtocolException;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.FileDescriptorCast;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lines and payloads over the guest socket, for both ends. One thread reads and one writes; {@link #shutdown} may come
 * from any thread and wakes both. The reading thread closes, after the writer has ended: closing under a thread in a
 * native call would let it go on with a number that already means another file.
 */
public final class GuestChannel implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(GuestChannel.class);
    private static final int ANCILLARY_BYTES = 4096;
    private static final int NO_DEADLINE = 0;
    private static final long NANOS_PER_MILLI = 1_000_000;

    private final AFUNIXSocket socket;
    private final InputStream in;
    private final OutputStream out;
    private final byte[] buffer = new byte[64 << 10];
    private final ReceivedDescriptors descriptors = new ReceivedDescriptors();
    private int position;
    private int limit;
    private long fetched;
    private boolean takesDescriptors;
    private boolean hasDeadline;
    private long deadlineNanos;

    /** Takes the socket over. */
    public GuestChannel(AFUNIXSocket socket) throws IOException {
        this.socket = socket;
        this.in = socket.getInputStream();
        this.out = socket.getOutputStream();
    }

    /** Connects to a daemon. */
    public static GuestChannel connect(Path socketPath) throws IOException {
        AFUNIXSocket socket = AFUNIXSocket.newInstance();
        try {
            socket.connect(AFUNIXSocketAddress.of(socketPath));
            return new GuestChannel(socket);
        } catch (IOException | RuntimeException e) {
            socket.close();
            throw e;
        }
    }

    /** Writes a hello with its descriptors, which stay the caller's. */
    public void writeHello(GuestHello hello, List<Integer> descriptorNumbers) throws IOException {
        FileDescriptor[] outbound = new FileDescriptor[descriptorNumbers.size()];
        for (int i = 0; i < outbound.length; i++) {
            outbound[i] =
                    FileDescriptorCast.unsafeUsing(descriptorNumbers.get(i)).getFileDescriptor();
        }
        // They leave with the next write, so with the first bytes of the line.
        socket.setOutboundFileDescriptors(outbound);
        write(new GuestMessage.Hello(hello), new byte[0]);
    }

    /** From now on descriptors are taken in, and every read ends at {@code deadlineNanos} of the monotonic clock. */
    void expectHello(long deadlineNanos) {
        socket.setAncillaryReceiveBufferSize(ANCILLARY_BYTES);
        this.takesDescriptors = true;
        this.hasDeadline = true;
        this.deadlineNanos = deadlineNanos;
    }

    /** The hello is read: later descriptors are dropped by the kernel, and reads wait for as long as it takes. */
    void helloDone() throws IOException {
        // Without room for them the kernel closes what a peer sends.
        socket.setAncillaryReceiveBufferSize(0);
        takesDescriptors = false;
        hasDeadline = false;
        socket.setSoTimeout(NO_DEADLINE);
    }

    /** What came with the hello. They are closed with the channel. */
    ReceivedDescriptors descriptors() {
        return descriptors;
    }

    /** The process that connected, as this process sees it. */
    long peerPid() throws IOException {
        return socket.getPeerCredentials().getPid();
    }

    /** Bytes that have been consumed. */
    public long offset() {
        return fetched - (limit - position);
    }

    /**
     * Reads a line and decodes it.
     *
     * @throws EOFException if the connection ends before the first byte of a line
     */
    public GuestMessageCodec.Line readMessage() throws IOException {
        long at = offset();
        ByteArrayOutputStream line = new ByteArrayOutputStream(256);
        while (true) {
            if (position == limit) {
                fill(line.size() == 0 ? "message" : "message.end");
            }
            int end = position;
            while (end < limit && buffer[end] != '\n') {
                end++;
            }
            if (line.size() + (end - position) >= GuestProtocol.MAX_LINE_BYTES) {
                throw new ProtocolException(
                        "message", at, "a line of at most " + GuestProtocol.MAX_LINE_BYTES + " bytes", "a longer one");
            }
            line.write(buffer, position, end - position);
            boolean complete = end < limit;
            position = complete ? end + 1 : end;
            if (complete) {
                return GuestMessageCodec.decode(line.toByteArray(), at);
            }
        }
    }

    /** Reads the bytes behind a line. The decoder has checked the length; memory grows with what really comes. */
    public byte[] readPayload(int lengthBytes) throws IOException {
        byte[] payload = new byte[Math.min(lengthBytes, buffer.length)];
        int done = 0;
        while (done < lengthBytes) {
            if (position == limit) {
                fill("payload");
            }
            if (done == payload.length) {
                payload = Arrays.copyOf(payload, (int) Math.min(lengthBytes, 2L * payload.length));
            }
            int piece = Math.min(limit - position, payload.length - done);
            System.arraycopy(buffer, position, payload, done, piece);
            position += piece;
            done += piece;
        }
        return payload;
    }

    private void fill(String field) throws IOException {
        if (hasDeadline) {
            long leftMillis = (deadlineNanos - System.nanoTime()) / NANOS_PER_MILLI;
            if (leftMillis <= 0) {
                throw new SocketTimeoutException("no whole hello within the deadline");
            }
            socket.setSoTimeout((int) leftMillis);
        }
        int count = in.read(buffer, 0, buffer.length);
        if (takesDescriptors) {
            descriptors.collect(socket, fetched);
        }
        if (count < 0) {
            if (field.equals("message")) {
                throw new EOFException("the other side has closed the connection");
            }
            throw new ProtocolException(field, offset(), "more bytes", "the end of the connection");
        }
        position = 0;
        limit = count;
        fetched += count;
    }

    /** Writes a message and the bytes that follow it. Blocks while the other side does not read. */
    public void write(GuestMessage message, byte[] payload) throws IOException {
        byte[] line = GuestMessageCodec.encode(message, payload.length);
        if (line.length > GuestProtocol.MAX_LINE_BYTES || payload.length > GuestProtocol.MAX_PAYLOAD_BYTES) {
            throw new IOException("a message of %d bytes with %d bytes of payload is above the limits of %d and %d"
                    .formatted(
                            line.length,
                            payload.length,
                            GuestProtocol.MAX_LINE_BYTES,
                            GuestProtocol.MAX_PAYLOAD_BYTES));
        }
        out.write(line);
        if (payload.length > 0) {
            out.write(payload);
        }
        out.flush();
    }

    /** Ends both directions: a thread that reads or writes wakes. Any thread, any number of times. */
    public void shutdown() {
        // By the channel: the JDK's own methods of an accepted socket believe that it is not connected.
        endQuietly(() -> socket.getChannel().shutdownInput());
        endQuietly(() -> socket.getChannel().shutdownOutput());
    }

    @Override
    public void close() {
        descriptors.close();
        endQuietly(socket::close);
    }

    private static void endQuietly(Ending ending) {
        try {
            ending.run();
        } catch (IOException e) {
            // The other side was faster: what we wanted to end has ended.
            log.atDebug().setCause(e).log("ending a guest connection");
        }
    }

    @FunctionalInterface
    private interface Ending {
        void run() throws IOException;
    }
}
