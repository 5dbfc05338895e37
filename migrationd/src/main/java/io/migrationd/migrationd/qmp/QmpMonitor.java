package io.migrationd.migrationd.qmp;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.postcopy.os.Descriptor;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.AsynchronousCloseException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection to a QMP socket: negotiated, with out-of-band execution where it is offered, with a deadline on each
 * call. Wire source: QEMU 10.0 docs/interop/qmp-spec.rst. Any thread may call, but the listener must not: it is called
 * by the thread that reads the answers.
 *
 * <p>One command in band at a time: others wait for their turn, also behind a command whose caller has given up. A
 * QEMU's socket serves one client; the connection of a second one hangs until the first is gone.
 *
 * <p>A connection that is to outlive this process is made by {@link #connectKeepable}: {@link #leaveCopy} gives its end
 * to the peer to keep, and a later process goes on with it by {@link #adopt}. So a peer whose main loop hangs, which
 * negotiates with nobody, still hears what is sent out of band.
 */
public final class QmpMonitor implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(QmpMonitor.class);

    /** No message of QEMU or of ours comes near it; it bounds what a peer that is neither can make us hold. */
    private static final int MAX_MESSAGE_BYTES = 16 << 20;

    /**
     * With the bound on commands under way it keeps requests within the socket's buffer, so that a write never blocks.
     */
    static final int MAX_REQUEST_BYTES = 16 << 10;

    private static final Duration READER_END = Duration.ofSeconds(10);

    /** Hears of events and of the end. Called by the reading thread: it returns at once and calls no command. */
    public interface Listener {
        /** One event; in order. */
        void event(QmpEvent event);

        /** The peer has ended the connection, or broke the protocol. Not called for {@link QmpMonitor#close()}. */
        void closed(QmpClosedException cause);
    }

    private final String peer;
    private final Duration connectTimeout;
    private final Listener listener;
    private final QmpWire wire;
    private final boolean adopted;
    private final QmpCalls calls;
    private final Object writeLock = new Object();
    private final Thread reader;
    private JsonObject greeting = JsonObject.EMPTY; // set before the monitor is handed out
    private volatile boolean closing;

    private QmpMonitor(
            String name, Path socket, Duration connectTimeout, Listener listener, QmpWire wire, boolean adopted) {
        this.peer = "%s at %s".formatted(name, socket);
        this.connectTimeout = connectTimeout;
        this.listener = listener;
        this.calls = adopted ? QmpCalls.goingOn(peer) : new QmpCalls(peer);
        this.wire = wire;
        this.adopted = adopted;
        this.reader = Thread.ofPlatform().name("qmp-" + name).daemon().unstarted(this::connectAndRead);
    }

    /**
     * Connects and negotiates.
     *
     * @param name of the peer, for messages and the thread
     * @param timeout for the connection, the greeting and the negotiation together
     */
    public static QmpMonitor connect(String name, Path socket, Duration timeout, Listener listener)
            throws QmpConnectionException {
        QmpWire wire;
        try {
            wire = new PathWire(socket);
        } catch (IOException e) {
            throw new QmpClosedException("%s at %s".formatted(name, socket), "cannot open a socket", e);
        }
        return started(new QmpMonitor(name, socket, timeout, listener, wire, false));
    }

    /** The same, for a connection that may get a copy at the peer. */
    public static QmpMonitor connectKeepable(String name, Path socket, Duration timeout, Listener listener)
            throws QmpConnectionException {
        return started(new QmpMonitor(name, socket, timeout, listener, DescriptorWire.to(socket), false));
    }

    /**
     * Goes on with a connection that another process has negotiated, with out-of-band execution, and that was copied by
     * {@link #leaveCopy}. There is no greeting, and answers to what that process has asked are dropped.
     *
     * @param connected taken over
     */
    public static QmpMonitor adopt(String name, Path socket, Descriptor connected, Duration timeout, Listener listener)
            throws QmpConnectionException {
        QmpWire wire;
        try {
            wire = DescriptorWire.over(connected);
        } catch (IOException e) {
            throw new QmpClosedException("%s at %s".formatted(name, socket), "cannot go on with its connection", e);
        }
        QmpMonitor monitor = new QmpMonitor(name, socket, timeout, listener, wire, true);
        monitor.greeting = JsonObject.of(Map.of("capabilities", List.of("oob")));
        monitor.reader.start();
        return monitor;
    }

    private static QmpMonitor started(QmpMonitor monitor) throws QmpConnectionException {
        try {
            monitor.negotiate();
            return monitor;
        } catch (QmpConnectionException | RuntimeException e) {
            monitor.close();
            throw e;
        }
    }

    /**
     * Gives the peer, a QEMU, this end of the connection to keep ({@code getfd}): it stays open when this process ends,
     * and nobody else can connect meanwhile. {@code closefd} with the same name takes it back; a second copy of that
     * name replaces the first.
     */
    public void leaveCopy(String name, Duration timeout) throws QmpException, QmpConnectionException {
        if (!(wire instanceof DescriptorWire passing)) {
            throw new IllegalStateException("not a connection whose descriptor can be passed");
        }
        var _ = run("getfd", Map.of("fdname", name), false, timeout, passing::writeWithDescriptor);
    }

    /** What the peer said first: its version and what it can do. */
    public JsonObject greeting() {
        return greeting;
    }

    /** Whether commands may be executed out of band. */
    public boolean hasOutOfBand() {
        return greeting.list("capabilities").contains("oob");
    }

    /** Executes a command and returns what it returned: a map, a list, a string, a number, a flag or nothing. */
    public @Nullable Object execute(String command, Map<String, ?> arguments, Duration timeout)
            throws QmpException, QmpConnectionException {
        return run(command, arguments, false, timeout, wire::write);
    }

    /** The same past all that waits, also while the peer's main loop is blocked. Few commands allow it. */
    public @Nullable Object executeOutOfBand(String command, Map<String, ?> arguments, Duration timeout)
            throws QmpException, QmpConnectionException {
        return run(command, arguments, true, timeout, wire::write);
    }

    /** Whether a command in band has been given up by its caller, and its answer has not come. */
    public boolean hangs() {
        return calls.hangs();
    }

    /** A command that returns an object. */
    public JsonObject query(String command, Map<String, ?> arguments, Duration timeout)
            throws QmpException, QmpConnectionException {
        if (execute(command, arguments, timeout) instanceof Map<?, ?> members) {
            return JsonObject.of(members);
        }
        throw broken(command + " returned something that is no object");
    }

    /** A command that returns an array of objects. */
    public List<JsonObject> queryList(String command, Map<String, ?> arguments, Duration timeout)
            throws QmpException, QmpConnectionException {
        if (execute(command, arguments, timeout) instanceof List<?> elements) {
            return JsonObject.objectsOf(elements);
        }
        throw broken(command + " returned something that is no array");
    }

    /** Sends one message as it is, of any length, and returns the first answer that comes, an error too. */
    public String exchange(String message, Duration timeout) throws QmpConnectionException {
        long deadline = System.nanoTime() + timeout.toNanos();
        requireOtherThread();
        send(message, wire::write);
        return calls.awaitUnclaimed(deadline, message, seconds(timeout)).text();
    }

    /** Closes the connection, also the copy that the peer keeps of this end: it needs not answer for that. */
    public void closeCopies() {
        closing = true;
        if (wire instanceof DescriptorWire passing) {
            try {
                passing.shutdown();
            } catch (IOException e) {
                log.atDebug().addKeyValue("peer", peer).setCause(e).log("the connection had ended");
            }
        }
        close();
    }

    /** Closes the connection and ends its thread. A copy that the peer keeps stays connected. */
    @Override
    public void close() {
        closing = true;
        calls.fail(new QmpClosedException(peer, "the connection was closed"));
        try {
            wire.close();
        } catch (IOException e) {
            calls.fail(new QmpClosedException(peer, describe(e), e));
        }
        if (Thread.currentThread() != reader) {
            try {
                reader.join(READER_END);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void negotiate() throws QmpConnectionException {
        long deadline = System.nanoTime() + connectTimeout.toNanos();
        reader.start();
        greeting = calls.awaitGreeting(deadline, seconds(connectTimeout));
        Map<String, ?> arguments = hasOutOfBand() ? Map.of("enable", List.of("oob")) : Map.of();
        try {
            execute("qmp_capabilities", arguments, connectTimeout);
        } catch (QmpException e) {
            throw new QmpClosedException(peer, "it refused to negotiate", e);
        }
    }

    private interface Writer {
        void write(byte[] bytes) throws IOException;
    }

    private @Nullable Object run(
            String command, Map<String, ?> arguments, boolean outOfBand, Duration timeout, Writer writer)
            throws QmpException, QmpConnectionException {
        long deadline = System.nanoTime() + timeout.toNanos();
        requireOtherThread();
        QmpCalls.Call call = calls.begin(command, outOfBand, deadline);
        Map<String, @Nullable Object> request = new LinkedHashMap<>();
        request.put(outOfBand ? "exec-oob" : "execute", command);
        if (!arguments.isEmpty()) {
            request.put("arguments", arguments);
        }
        request.put("id", call.id());
        String text = Json.write(request);
        if (text.length() > MAX_REQUEST_BYTES) {
            calls.forget(call);
            throw new IllegalArgumentException("%s of %d bytes".formatted(command, text.length()));
        }
        send(text, writer);
        return returned(text, calls.await(call, deadline, seconds(timeout)).value());
    }

    private void requireOtherThread() {
        if (Thread.currentThread() == reader) {
            throw new IllegalStateException("the listener calls its own monitor, which would never answer");
        }
    }

    private static @Nullable Object returned(String request, JsonObject reply) throws QmpException {
        JsonObject error = reply.object("error").orElse(null);
        if (error != null) {
            throw new QmpException(
                    request,
                    error.text("class").orElse("GenericError"),
                    error.text("desc").orElse("no reason given"));
        }
        return reply.members().get("return");
    }

    private void send(String message, Writer writer) throws QmpClosedException {
        byte[] bytes = (message + "\r\n").getBytes(StandardCharsets.UTF_8);
        synchronized (writeLock) {
            try {
                writer.write(bytes);
            } catch (IOException e) {
                // Half a command may be on the wire.
                end(new QmpClosedException(peer, describe(e), e));
                throw new QmpClosedException(peer, describe(e), e);
            }
        }
    }

    /** In the reader's thread, so that a socket whose backlog is full cannot hold the caller beyond its deadline. */
    private void connectAndRead() {
        try {
            wire.open();
            InputStream in = new BufferedInputStream(wire.input());
            if (adopted) {
                takeRest(readLine(in));
            }
            while (true) {
                take(readLine(in));
            }
        } catch (AsynchronousCloseException e) {
            end(new QmpClosedException(peer, "the connection was closed", e));
        } catch (JsonParseException e) {
            end(new QmpClosedException(peer, "what answers does not speak QMP: " + e.getOriginalMessage(), e));
        } catch (QmpClosedException e) {
            end(e);
        } catch (IOException e) {
            end(new QmpClosedException(peer, describe(e), e));
        } catch (RuntimeException e) {
            end(new QmpClosedException(peer, "a listener failed: " + e, e));
        }
    }

    /** The process before may have read a part of it. */
    private void takeRest(String line) throws IOException {
        try {
            take(line);
        } catch (JsonParseException e) {
            log.atDebug().addKeyValue("peer", peer).log("half a message was read by the process before");
        }
    }

    private void take(String line) throws IOException {
        if (line.isBlank()) {
            return;
        }
        JsonObject message = Json.parseObject(line);
        if (message.text("event").isPresent()) {
            listener.event(new QmpEvent(message));
        } else {
            calls.deliver(line, message);
        }
    }

    private QmpClosedException broken(String what) {
        QmpClosedException cause = new QmpClosedException(peer, what);
        end(cause);
        return cause;
    }

    /** Nothing more can be had from this connection. */
    private void end(QmpClosedException cause) {
        calls.fail(cause);
        try {
            wire.close();
        } catch (IOException e) {
            cause.addSuppressed(e);
        }
        if (Thread.currentThread() == reader && !closing) {
            listener.closed(cause);
        }
    }

    private static String seconds(Duration timeout) {
        return timeout.toMillis() % 1000 == 0 ? timeout.toSeconds() + " s" : timeout.toMillis() + " ms";
    }

    private static String describe(IOException e) {
        String message = e.getMessage(); // None says a channel that was closed.
        return message == null ? e.toString() : message;
    }

    /** A server's message is a line. Wire source: QEMU 10.0 monitor/qmp.c, qmp_send_response. */
    private static String readLine(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0) {
                throw new EOFException("it closed the connection");
            }
            if (line.size() == MAX_MESSAGE_BYTES) {
                throw new IOException("it sent a message of more than " + MAX_MESSAGE_BYTES + " bytes");
            }
            line.write(next);
        }
        return line.toString(StandardCharsets.UTF_8);
    }
}
