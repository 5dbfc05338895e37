package io.migrationd.migrationd.guest.process;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.DirectSocket;
import io.migrationd.postcopy.os.Libc;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.SocketTimeoutException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.FileDescriptorCast;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Lines and payloads over the guest socket, for both ends. One thread reads and one writes; {@link #shutdown} may come
 * from any thread and wakes both. The reading thread closes.
 *
 * <p>Closing under a thread in a native call would let it go on with a number that already means another file, and
 * junixsocket 2.10.1 closes by itself when a read or a write fails. So the reader alone uses its descriptor, and all
 * others a second one.
 */
public final class GuestChannel implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(GuestChannel.class);
    private static final int ANCILLARY_BYTES = 4096;
    private static final int NO_DEADLINE = 0;
    private static final long NANOS_PER_MILLI = 1_000_000;
    /** For a side that does not read: it may be stopped by a debugger. */
    private static final long STALL_MILLIS = TimeUnit.DAYS.toMillis(1);

    private final AFUNIXSocket socket;
    private final InputStream in;
    private final DirectSocket out;
    private final Descriptor outDescriptor;
    private final MemorySegment outgoing = Arena.ofAuto().allocate(16 << 10);
    private final byte[] buffer = new byte[64 << 10];
    private final ReceivedDescriptors descriptors = new ReceivedDescriptors();
    private int position;
    private int limit;
    private long fetched;
    private boolean takesDescriptors;
    private boolean hasDeadline;
    private long deadlineNanos;

    /** Takes the socket over, also when this fails. */
    public GuestChannel(AFUNIXSocket socket) throws IOException {
        this.socket = socket;
        try {
            this.in = socket.getInputStream();
            int descriptor =
                    FileDescriptorCast.using(socket.getFileDescriptor()).as(Integer.class);
            this.outDescriptor = new Descriptor(Libc.dup(descriptor));
        } catch (IOException e) {
            socket.close();
            throw e;
        }
        try {
            this.out = new DirectSocket(outDescriptor.number());
        } catch (IOException e) {
            outDescriptor.close();
            socket.close();
            throw e;
        }
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
        socket.getOutputStream().write(encode(new GuestMessage.Hello(hello), 0));
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
        byte[] line = encode(message, payload.length);
        send(line);
        send(payload);
    }

    private static byte[] encode(GuestMessage message, int payloadBytes) throws IOException {
        byte[] line = GuestMessageCodec.encode(message, payloadBytes);
        if (line.length > GuestProtocol.MAX_LINE_BYTES || payloadBytes > GuestProtocol.MAX_PAYLOAD_BYTES) {
            throw new IOException("a message of %d bytes with %d bytes of payload is above the limits of %d and %d"
                    .formatted(
                            line.length, payloadBytes, GuestProtocol.MAX_LINE_BYTES, GuestProtocol.MAX_PAYLOAD_BYTES));
        }
        return line;
    }

    private void send(byte[] bytes) throws IOException {
        int room = (int) outgoing.byteSize();
        for (int done = 0; done < bytes.length; done += room) {
            int count = Math.min(room, bytes.length - done);
            MemorySegment.copy(bytes, done, outgoing, ValueLayout.JAVA_BYTE, 0, count);
            out.send(outgoing, count, STALL_MILLIS, _ -> {});
        }
    }

    /** Ends both directions: a thread that reads or writes wakes. Any thread, any number of times. */
    public void shutdown() {
        endQuietly(out::shutdown);
    }

    @Override
    public void close() {
        descriptors.close();
        out.stop(outDescriptor::close);
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
