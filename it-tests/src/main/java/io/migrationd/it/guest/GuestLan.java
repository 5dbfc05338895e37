package io.migrationd.it.guest;

import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.jspecify.annotations.Nullable;

/**
 * A network of one Linux guest, wherever it runs, and one host with one TCP connection to the guest's echo, which
 * outlives a migration: source and destination QEMU are both plugged in. Frames go to where the last one came from, as
 * a switch would send them. QEMU: {@code -netdev stream}, each frame behind its length in four bytes.
 */
public final class GuestLan implements AutoCloseable {
    private static final long OUR_MAC = 0x525400000002L;
    private static final long GUEST_MAC = 0x525400123456L;
    private static final int OUR_ADDRESS = 0x0A000202;
    private static final int GUEST_ADDRESS = 0x0A00020F;
    private static final int OUR_PORT = 40007;
    private static final int MAX_FRAME_BYTES = 1 << 16;
    private static final int MAX_TEXT_BYTES = 1000;
    private static final long RESEND_NANOS = TimeUnit.MILLISECONDS.toNanos(200);
    private static final Duration JOIN_TIMEOUT = Duration.ofSeconds(10);

    private final Path socket;
    private final ServerSocketChannel listener;
    private final List<Thread> threads = new CopyOnWriteArrayList<>();
    private final TcpFrames frames =
            new TcpFrames(OUR_MAC, OUR_ADDRESS, OUR_PORT, GUEST_MAC, GUEST_ADDRESS, LinuxGuest.ECHO_PORT);

    // All below: guarded by this.
    private final List<SocketChannel> ports = new ArrayList<>();
    private final StringBuilder received = new StringBuilder();
    private @Nullable SocketChannel lastPort;
    private boolean established;
    private boolean reset;
    private int sent = 1000;
    private int acknowledged = sent;
    private int expected;
    private int resent;

    private GuestLan(Path socket) throws IOException {
        this.socket = socket;
        listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        listener.bind(UnixDomainSocketAddress.of(socket));
    }

    /** Listens at {@code socket} for QEMUs. */
    public static GuestLan start(Path socket) throws IOException {
        GuestLan lan = new GuestLan(socket);
        lan.thread("accept", lan::accept);
        return lan;
    }

    /** For {@link LinuxGuest#qemuArguments}. */
    public String netdev() {
        return "stream,server=off,addr.type=unix,addr.path=" + socket;
    }

    /** Opens the connection. */
    public synchronized void connect(Duration deadline) throws IOException, TimeoutException, InterruptedException {
        long until = System.nanoTime() + deadline.toNanos();
        sent++;
        while (!established) {
            send(frames.segment(sent - 1, 0, TcpFrames.SYN, new byte[0]));
            awaitNews("connection", until);
        }
    }

    /** Sends {@code text} and waits for it to come back; returns the milliseconds that took. */
    public synchronized long echo(String text, Duration deadline)
            throws IOException, TimeoutException, InterruptedException {
        byte[] bytes = text.getBytes(StandardCharsets.ISO_8859_1);
        if (!established || bytes.length == 0 || bytes.length > MAX_TEXT_BYTES) {
            throw new IllegalArgumentException(
                    "expected an open connection and 1 to %d bytes".formatted(MAX_TEXT_BYTES));
        }
        long start = System.nanoTime();
        long until = start + deadline.toNanos();
        received.setLength(0);
        int first = sent;
        sent += bytes.length;
        long sendAt = start;
        while (acknowledged != sent || received.length() < bytes.length) {
            if (acknowledged != sent && System.nanoTime() >= sendAt) {
                send(frames.segment(first, expected, TcpFrames.PSH | TcpFrames.ACK, bytes));
                resent += sendAt == start ? 0 : 1;
                sendAt = System.nanoTime() + RESEND_NANOS;
            }
            awaitNews("echo of " + text, until);
        }
        if (!text.contentEquals(received)) {
            throw new IOException("sent %s, got back %s".formatted(text, received));
        }
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
    }

    /** Segments that were sent more than once. */
    public synchronized int resentCount() {
        return resent;
    }

    @SuppressWarnings("WaitNotInLoop") // Its callers loop, and look again after any wake-up.
    private void awaitNews(String what, long until) throws IOException, TimeoutException, InterruptedException {
        if (reset) {
            throw new IOException(what + ": the guest has reset the connection");
        }
        if (System.nanoTime() >= until) {
            throw new TimeoutException("%s: not in time; %d QEMUs are plugged in, %d bytes of it came back"
                    .formatted(what, ports.size(), received.length()));
        }
        wait(TimeUnit.NANOSECONDS.toMillis(RESEND_NANOS));
    }

    private void accept() throws IOException {
        while (true) {
            SocketChannel port = listener.accept();
            synchronized (this) {
                ports.add(port);
            }
            thread("port", () -> receive(port));
        }
    }

    private void receive(SocketChannel port) throws IOException {
        ByteBuffer length = ByteBuffer.allocate(Integer.BYTES);
        while (readFully(port, length)) {
            int count = length.getInt(0);
            if (count < 0 || count > MAX_FRAME_BYTES) {
                throw new IOException("frame of %d bytes".formatted(count));
            }
            ByteBuffer frame = ByteBuffer.allocate(count);
            if (!readFully(port, frame)) {
                return;
            }
            took(port, frame.flip());
        }
    }

    private static boolean readFully(SocketChannel port, ByteBuffer bytes) throws IOException {
        bytes.clear();
        while (bytes.hasRemaining()) {
            if (port.read(bytes) < 0) {
                return false;
            }
        }
        return true;
    }

    private synchronized void took(SocketChannel port, ByteBuffer frame) throws IOException {
        lastPort = port;
        Optional<ByteBuffer> answer = frames.answerToArp(frame);
        if (answer.isPresent()) {
            send(answer.get());
        }
        Optional<TcpFrames.Segment> segment = frames.parse(frame);
        if (segment.isPresent()) {
            took(segment.get());
        }
        notifyAll();
    }

    private void took(TcpFrames.Segment segment) throws IOException {
        if (segment.has(TcpFrames.RST | TcpFrames.FIN)) {
            reset = true;
        } else if (segment.has(TcpFrames.SYN)) {
            established = true;
            acknowledged = segment.acknowledged();
            expected = segment.sequence() + 1;
            acknowledge();
        } else {
            acknowledged = segment.acknowledged();
            if (segment.data().length > 0) {
                if (segment.sequence() == expected) {
                    received.append(new String(segment.data(), StandardCharsets.ISO_8859_1));
                    expected += segment.data().length;
                }
                acknowledge();
            }
        }
    }

    private void acknowledge() throws IOException {
        send(frames.segment(sent, expected, TcpFrames.ACK, new byte[0]));
    }

    private void send(ByteBuffer frame) throws IOException {
        SocketChannel port = lastPort == null && !ports.isEmpty() ? ports.getFirst() : lastPort;
        if (port == null) {
            return;
        }
        ByteBuffer whole = ByteBuffer.allocate(Integer.BYTES + frame.remaining());
        whole.putInt(frame.remaining()).put(frame).flip();
        try {
            while (whole.hasRemaining()) {
                port.write(whole);
            }
        } catch (IOException unplugged) {
            if (port.isOpen()) {
                port.close();
            }
        }
    }

    @FunctionalInterface
    private interface Work {
        void run() throws IOException;
    }

    private void thread(String role, Work work) {
        Thread thread = Thread.ofPlatform().name("guest-lan-" + role).unstarted(() -> run(work));
        threads.add(thread);
        thread.start();
    }

    /** A QEMU that ends, and the end of the network, end a thread. */
    @SuppressWarnings("EmptyCatch")
    private static void run(Work work) {
        try {
            work.run();
        } catch (IOException expected) {
            // Unplugged.
        }
    }

    @Override
    public void close() throws IOException {
        listener.close();
        synchronized (this) {
            for (SocketChannel port : ports) {
                port.close();
            }
        }
        Files.deleteIfExists(socket);
        for (Thread thread : threads) {
            try {
                if (!thread.join(JOIN_TIMEOUT)) {
                    throw new IllegalStateException("thread " + thread.getName() + " did not stop");
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }
}
