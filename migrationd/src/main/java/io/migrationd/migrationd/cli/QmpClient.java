package io.migrationd.migrationd.cli;

import com.fasterxml.jackson.core.JsonParseException;
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.AsynchronousCloseException;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * One connection to a QMP socket: negotiated, one command at a time, with a deadline on each. Wire source: QEMU 10.0
 * docs/interop/qmp-spec.rst. For one thread, except {@link #close()}, which any thread may call.
 *
 * <p>The JDK's own Unix sockets are enough here: nobody passes descriptors, and no native library has to be unpacked
 * before the first byte moves.
 */
public final class QmpClient implements AutoCloseable {
    /** How long a connection and a command may take. Commands only start work, so this is long. */
    public static final Duration CALL_TIMEOUT = Duration.ofSeconds(10);

    /** No message of ours comes near it; it bounds what a peer that is no daemon can make us hold. */
    private static final int MAX_MESSAGE_BYTES = 16 << 20;

    private final Path socket;
    private final Duration callTimeout;
    private final SocketChannel channel;
    private final QmpInbox inbox = new QmpInbox();
    private final Thread reader;
    private JsonObject greeting = JsonObject.EMPTY;
    private long lastId;

    private QmpClient(Path socket, Duration callTimeout) throws IOException {
        this.socket = socket;
        this.callTimeout = callTimeout;
        this.channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        this.reader = Thread.ofPlatform().name("qmp-read").daemon().unstarted(this::connectAndRead);
    }

    /** Connects and negotiates, with out-of-band execution where the daemon offers it. */
    public static QmpClient connect(Path socket) throws DaemonUnreachableException {
        return connect(socket, CALL_TIMEOUT);
    }

    /** The same with another deadline for the connection and for each command. */
    public static QmpClient connect(Path socket, Duration callTimeout) throws DaemonUnreachableException {
        try {
            QmpClient client = new QmpClient(socket, callTimeout);
            try {
                client.negotiate();
                return client;
            } catch (IOException | RuntimeException e) {
                client.close();
                throw e;
            }
        } catch (DaemonUnreachableException e) {
            throw e;
        } catch (IOException e) {
            throw new DaemonUnreachableException(socket, "cannot open a socket", e);
        }
    }

    /** What the daemon said first: its version and what it can do. */
    public JsonObject greeting() {
        return greeting;
    }

    /** Executes a command and returns what it returned: a map, a list, a string, a number, a flag or nothing. */
    public @Nullable Object execute(String command, Map<String, ?> arguments)
            throws QmpException, DaemonUnreachableException {
        long id = ++lastId;
        Map<String, @Nullable Object> request = new LinkedHashMap<>();
        request.put("execute", command);
        if (!arguments.isEmpty()) {
            request.put("arguments", arguments);
        }
        request.put("id", id);
        String text = Json.write(request);
        send(text);
        return returned(text, reply(command, id));
    }

    /** A command that returns an object. */
    public JsonObject query(String command, Map<String, ?> arguments) throws QmpException, DaemonUnreachableException {
        if (execute(command, arguments) instanceof Map<?, ?> members) {
            return JsonObject.of(members);
        }
        throw new DaemonUnreachableException(socket, command + " returned something that is no object");
    }

    /** A command that returns an array of objects. */
    public List<JsonObject> queryList(String command, Map<String, ?> arguments)
            throws QmpException, DaemonUnreachableException {
        if (execute(command, arguments) instanceof List<?> elements) {
            return JsonObject.objectsOf(elements);
        }
        throw new DaemonUnreachableException(socket, command + " returned something that is no array");
    }

    /** Sends one message as it is and returns the first reply that comes, an error too. */
    public String exchange(String message) throws DaemonUnreachableException {
        send(message);
        return nextReply(message, System.nanoTime() + callTimeout.toNanos()).text();
    }

    /**
     * The next event, or nothing if none came in that time. Events that nobody takes are kept up to a bound, then the
     * oldest go.
     */
    public Optional<QmpEvent> nextEvent(Duration timeout) throws DaemonUnreachableException {
        try {
            return inbox.awaitEvent(System.nanoTime() + timeout.toNanos());
        } catch (IOException e) {
            throw disconnected(e);
        }
    }

    /** Closes the connection and ends its thread. */
    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            inbox.fail(e);
        }
        try {
            reader.join(callTimeout);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void negotiate() throws DaemonUnreachableException {
        reader.start();
        greeting = nextReply("the connection", System.nanoTime() + callTimeout.toNanos())
                .value()
                .object("QMP")
                .orElseThrow(() -> new DaemonUnreachableException(
                        socket, "connected, but what answers does not speak QMP: it sent no greeting"));
        Map<String, ?> arguments =
                greeting.list("capabilities").contains("oob") ? Map.of("enable", List.of("oob")) : Map.of();
        try {
            execute("qmp_capabilities", arguments);
        } catch (QmpException e) {
            throw new DaemonUnreachableException(socket, "the daemon refused to negotiate", e);
        }
    }

    private void send(String message) throws DaemonUnreachableException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(message + "\r\n");
        try {
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
        } catch (IOException e) {
            throw disconnected(e);
        }
    }

    /** A reply with another id belongs to a command that we gave up waiting for. */
    private JsonObject reply(String command, long id) throws DaemonUnreachableException {
        long deadline = System.nanoTime() + callTimeout.toNanos();
        while (true) {
            JsonObject reply = nextReply(command, deadline).value();
            if (reply.number("id").orElse(id) == id) {
                return reply;
            }
        }
    }

    private static @Nullable Object returned(String request, JsonObject reply) throws QmpException {
        Optional<JsonObject> error = reply.object("error");
        if (error.isPresent()) {
            throw new QmpException(
                    request,
                    error.get().text("class").orElse("GenericError"),
                    error.get().text("desc").orElse("no reason given"));
        }
        return reply.members().get("return");
    }

    private QmpInbox.Reply nextReply(String to, long deadlineNanos) throws DaemonUnreachableException {
        try {
            return inbox.awaitReply(deadlineNanos)
                    .orElseThrow(() -> new DaemonUnreachableException(
                            socket,
                            "no answer to %s within %s s: another client may hold the socket, or the daemon hangs"
                                    .formatted(to, callTimeout.toSeconds())));
        } catch (DaemonUnreachableException e) {
            throw e;
        } catch (IOException e) {
            throw disconnected(e);
        }
    }

    private DaemonUnreachableException disconnected(IOException cause) {
        String message = cause.getMessage(); // None says a channel that was closed.
        return new DaemonUnreachableException(socket, message == null ? cause.toString() : message, cause);
    }

    /** In the reader's thread, so that a socket whose backlog is full cannot hold the caller beyond its deadline. */
    private void connectAndRead() {
        try {
            channel.connect(UnixDomainSocketAddress.of(socket));
            InputStream in = new BufferedInputStream(Channels.newInputStream(channel));
            while (true) {
                String line = readLine(in);
                if (!line.isBlank()) {
                    inbox.deliver(line, Json.parseObject(line));
                }
            }
        } catch (AsynchronousCloseException e) {
            inbox.fail(new EOFException("the connection was closed"));
        } catch (JsonParseException e) {
            inbox.fail(new IOException("what answers does not speak QMP: " + e.getOriginalMessage(), e));
        } catch (IOException e) {
            inbox.fail(e);
        }
    }

    /** A server's message is a line. Wire source: QEMU 10.0 monitor/qmp.c, qmp_send_response. */
    private static String readLine(InputStream in) throws IOException {
        ByteArrayOutputStream line = new ByteArrayOutputStream();
        for (int next = in.read(); next != '\n'; next = in.read()) {
            if (next < 0) {
                throw new EOFException("the daemon closed the connection");
            }
            if (line.size() == MAX_MESSAGE_BYTES) {
                throw new IOException("the daemon sent a message of more than " + MAX_MESSAGE_BYTES + " bytes");
            }
            line.write(next);
        }
        return line.toString(StandardCharsets.UTF_8);
    }
}
