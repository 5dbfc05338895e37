package io.migrationd.migrationd.qmp;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.DirectSocket;
import io.migrationd.postcopy.os.Libc;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.newsclub.net.unix.FileDescriptorCast;

/** A connection whose descriptor can be passed on, or one that was: {@link QmpMonitor#leaveCopy}. */
final class DescriptorWire implements QmpWire {
    /** A QEMU reads its monitor's socket at once, in a thread of its own; what we send is short. */
    private static final long STALL_MILLIS = 10_000;

    private static final int BUFFER_BYTES = 16 << 10;

    private final Optional<Path> path;
    private final MemorySegment incoming = Arena.ofAuto().allocate(BUFFER_BYTES);
    private final MemorySegment outgoing = Arena.ofAuto().allocate(BUFFER_BYTES);

    /** Held by who uses the library's descriptor, or closes it. */
    private final Object passing = new Object();

    // Guarded by this; socket is set once.
    private @Nullable AFUNIXSocketChannel channel;
    private @Nullable Descriptor descriptor;
    private @Nullable DirectSocket socket;
    private boolean closed;

    private DescriptorWire(Optional<Path> path) {
        this.path = path;
    }

    /** One that is to be connected. */
    static DescriptorWire to(Path path) {
        return new DescriptorWire(Optional.of(path));
    }

    /** One that stands. Takes {@code connected} over. */
    static DescriptorWire over(Descriptor connected) throws IOException {
        DescriptorWire wire = new DescriptorWire(Optional.empty());
        wire.adopt(connected);
        return wire;
    }

    @Override
    public void open() throws IOException {
        if (path.isEmpty()) {
            return;
        }
        AFUNIXSocketChannel opened = AFUNIXSocketChannel.open();
        synchronized (this) {
            if (closed) {
                opened.close();
                throw new AsynchronousCloseException();
            }
            channel = opened;
        }
        // Nothing would wake a thread that waits here, where another client waits already.
        opened.configureBlocking(false);
        if (!opened.connect(AFUNIXSocketAddress.of(path.get()))) {
            throw new IOException("others wait for it already");
        }
        opened.configureBlocking(true);
        // The library closes its descriptor when it likes: all but the passing goes over one of ours.
        adopt(new Descriptor(Libc.dup(number(opened.getFileDescriptor()))));
    }

    private static int number(FileDescriptor descriptor) throws IOException {
        return FileDescriptorCast.using(descriptor).as(Integer.class);
    }

    private synchronized void adopt(Descriptor connected) throws IOException {
        descriptor = connected;
        if (closed) {
            connected.close();
            throw new AsynchronousCloseException();
        }
        try {
            socket = new DirectSocket(connected.number());
        } catch (IOException e) {
            connected.close();
            throw e;
        }
    }

    private synchronized DirectSocket socket() {
        return Objects.requireNonNull(socket, "not open");
    }

    @Override
    public InputStream input() {
        return new In();
    }

    @Override
    public void write(byte[] bytes) throws IOException {
        DirectSocket open = socket();
        for (int done = 0; done < bytes.length; done += BUFFER_BYTES) {
            int count = Math.min(BUFFER_BYTES, bytes.length - done);
            MemorySegment.copy(bytes, done, outgoing, ValueLayout.JAVA_BYTE, 0, count);
            open.send(outgoing, count, STALL_MILLIS, _ -> {});
        }
    }

    /** Writes all, and with the first byte the descriptor of this end. Not for one that was itself passed on. */
    void writeWithDescriptor(byte[] bytes) throws IOException {
        AFUNIXSocketChannel open;
        synchronized (this) {
            open = Objects.requireNonNull(channel, "a connection that was passed on");
        }
        synchronized (passing) {
            if (isClosed()) {
                throw new AsynchronousCloseException();
            }
            open.setOutboundFileDescriptors(open.getFileDescriptor());
            ByteBuffer rest = ByteBuffer.wrap(bytes);
            while (rest.hasRemaining()) {
                open.write(rest);
            }
        }
    }

    private synchronized boolean isClosed() {
        return closed;
    }

    /** Ends the connection also for whoever has a copy of this end. */
    void shutdown() throws IOException {
        DirectSocket open;
        synchronized (this) {
            open = socket;
        }
        if (open != null) {
            open.shutdown();
        }
    }

    @Override
    public void close() throws IOException {
        AFUNIXSocketChannel opened;
        boolean connected;
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            opened = channel;
            connected = socket != null;
            if (socket != null && descriptor != null) {
                socket.stop(descriptor::close);
            }
        }
        if (opened == null) {
            return;
        }
        synchronized (passing) {
            if (connected) {
                // The library's own way ends the connection for whoever has a copy, by shutdown(2).
                new FileOutputStream(opened.getFileDescriptor()).close();
            }
            opened.close();
        }
    }

    /** For the reading thread. */
    private final class In extends InputStream {
        @Override
        public int read() throws IOException {
            byte[] one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int offset, int length) throws IOException {
            int most = Math.min(length, BUFFER_BYTES);
            int count = socket().receive(incoming.asSlice(0, most));
            MemorySegment.copy(incoming, ValueLayout.JAVA_BYTE, 0, into, offset, count);
            return count == 0 ? -1 : count;
        }
    }
}
