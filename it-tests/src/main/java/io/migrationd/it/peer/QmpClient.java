package io.migrationd.it.peer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.MappingIterator;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A QMP client for tests, with out-of-band commands on. All methods may be called from any thread and give up after a
 * deadline. Dialect: QEMU 10.0 docs/interop/qmp-spec.rst.
 */
public final class QmpClient implements AutoCloseable {
    private static final Duration COMMAND_DEADLINE = Duration.ofSeconds(20);
    private static final ObjectMapper JSON = new ObjectMapper();

    private final String peer;
    private final SocketChannel channel;
    private final Thread reader;

    // All below: guarded by this.
    private final List<JsonNode> events = new ArrayList<>();
    private final Map<Integer, JsonNode> answers = new HashMap<>();
    private @Nullable JsonNode greeting;
    private @Nullable Exception end;
    private int lastId;

    private QmpClient(String peer, SocketChannel channel) {
        this.peer = peer;
        this.channel = channel;
        this.reader = Thread.ofPlatform().daemon().name("it-qmp-" + peer).unstarted(this::read);
    }

    /** Connects to the socket at {@code path} and negotiates. {@code peer} names the other side in messages. */
    public static QmpClient connect(String peer, Path path) throws IOException, TimeoutException, InterruptedException {
        SocketChannel channel = SocketChannel.open(StandardProtocolFamily.UNIX);
        try {
            channel.connect(UnixDomainSocketAddress.of(path));
            QmpClient client = new QmpClient(peer, channel);
            client.reader.start();
            client.negotiate();
            return client;
        } catch (IOException | TimeoutException | InterruptedException | RuntimeException e) {
            channel.close();
            throw e;
        }
    }

    /** Connects as soon as {@code process} listens at {@code path}. */
    static QmpClient connectWhenUp(String peer, Path path, ChildProcess process, Duration deadline) throws Exception {
        Await.until(
                "QMP socket of " + peer,
                deadline,
                () -> {
                    if (!process.isAlive()) {
                        throw new IOException(process.facts());
                    }
                    return listens(path);
                },
                process::facts);
        return connect(peer, path);
    }

    /** A probe connection is harmless: QEMU and our daemon take the next client when it is gone. */
    private static boolean listens(Path path) {
        try (SocketChannel probe = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            return probe.connect(UnixDomainSocketAddress.of(path));
        } catch (IOException notYet) {
            return false;
        }
    }

    /** Runs a command without arguments. */
    public JsonNode execute(String command) throws IOException, TimeoutException, InterruptedException {
        return execute(command, Map.of());
    }

    /** Runs a command and returns what it returned. */
    public JsonNode execute(String command, Map<String, ?> arguments)
            throws IOException, TimeoutException, InterruptedException {
        return run("execute", command, arguments);
    }

    /** Whether query-status is answered within {@code deadline}. An answer that comes later is dropped. */
    public boolean answers(Duration deadline) throws IOException, InterruptedException {
        try {
            run("execute", "query-status", Map.of(), deadline);
            return true;
        } catch (TimeoutException e) {
            return false;
        }
    }

    /** Sends a command whose answer nobody waits for. */
    public void send(String command) throws IOException {
        send(command, Map.of());
    }

    /** Sends a command whose answer nobody waits for. */
    public void send(String command, Map<String, ?> arguments) throws IOException {
        write("execute", command, arguments);
    }

    /** Runs a command out of band: it is answered even while the peer's main loop is blocked. */
    public JsonNode executeOob(String command, Map<String, ?> arguments)
            throws IOException, TimeoutException, InterruptedException {
        return run("exec-oob", command, arguments);
    }

    /** The greeting's version object. */
    public synchronized JsonNode greeting() {
        return greeting == null ? JSON.missingNode() : greeting;
    }

    /** All events so far, oldest first. */
    public synchronized List<JsonNode> events() {
        return List.copyOf(events);
    }

    /** The first event of that name, also a past one, whose data {@code wanted} accepts. */
    public JsonNode awaitEvent(String name, Predicate<JsonNode> wanted, Duration deadline)
            throws IOException, TimeoutException, InterruptedException {
        return await(
                "event " + name,
                deadline,
                () -> events.stream()
                        .filter(event -> event.path("event").asText().equals(name) && wanted.test(event.path("data")))
                        .findFirst());
    }

    /** Waits until the last event of that name so far is one whose data {@code wanted} accepts. */
    public JsonNode awaitLastEvent(String name, Predicate<JsonNode> wanted, Duration deadline)
            throws IOException, TimeoutException, InterruptedException {
        return await(
                "such event " + name,
                deadline,
                () -> events.reversed().stream()
                        .filter(event -> event.path("event").asText().equals(name))
                        .findFirst()
                        .filter(event -> wanted.test(event.path("data"))));
    }

    /** Names and data of the last events, for messages. */
    public synchronized String lastEvents() {
        return events.stream()
                .skip(Math.max(0, events.size() - 12))
                .map(event -> event.path("event").asText() + event.path("data"))
                .toList()
                .toString();
    }

    private void negotiate() throws IOException, TimeoutException, InterruptedException {
        await("greeting", COMMAND_DEADLINE, () -> Optional.ofNullable(greeting));
        execute("qmp_capabilities", Map.of("enable", List.of("oob")));
    }

    private JsonNode run(String kind, String command, Map<String, ?> arguments)
            throws IOException, TimeoutException, InterruptedException {
        return run(kind, command, arguments, COMMAND_DEADLINE);
    }

    private JsonNode run(String kind, String command, Map<String, ?> arguments, Duration deadline)
            throws IOException, TimeoutException, InterruptedException {
        int id = write(kind, command, arguments);
        JsonNode answer = await("answer to " + command, deadline, () -> Optional.ofNullable(answers.remove(id)));
        JsonNode error = answer.path("error");
        if (error.isMissingNode()) {
            return answer.path("return");
        }
        throw new QmpException(
                peer, command, error.path("class").asText(), error.path("desc").asText());
    }

    private synchronized int write(String kind, String command, Map<String, ?> arguments) throws IOException {
        int id = ++lastId;
        byte[] request = JSON.writeValueAsBytes(Map.of(kind, command, "arguments", arguments, "id", id));
        ByteBuffer bytes = ByteBuffer.wrap(request);
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
        return id;
    }

    /** Looks whenever something came in. */
    private synchronized JsonNode await(String what, Duration deadline, Supplier<Optional<JsonNode>> look)
            throws IOException, TimeoutException, InterruptedException {
        long until = System.nanoTime() + deadline.toNanos();
        Optional<JsonNode> found = look.get();
        while (found.isEmpty()) {
            long leftMillis = (until - System.nanoTime()) / 1_000_000;
            if (end != null) {
                throw new IOException(
                        "%s: no %s, the connection ended; last events %s".formatted(peer, what, lastEvents()), end);
            }
            if (leftMillis <= 0) {
                throw new TimeoutException("%s: no %s within %d s; last events %s"
                        .formatted(peer, what, deadline.toSeconds(), lastEvents()));
            }
            wait(leftMillis);
            found = look.get();
        }
        return found.get();
    }

    private void read() {
        try (InputStream in = Channels.newInputStream(channel);
                MappingIterator<JsonNode> values =
                        JSON.readerFor(JsonNode.class).readValues(in)) {
            while (values.hasNext()) {
                accept(values.next());
            }
            finish(new IOException("end of stream"));
        } catch (IOException | RuntimeException e) {
            finish(e);
        }
    }

    private synchronized void accept(JsonNode message) {
        if (message.has("QMP")) {
            greeting = message.path("QMP");
        } else if (message.has("event")) {
            events.add(message);
        } else {
            answers.put(message.path("id").asInt(), message);
        }
        notifyAll();
    }

    private synchronized void finish(Exception cause) {
        end = cause;
        notifyAll();
    }

    /** Ends the connection; the peer goes on. */
    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        try {
            reader.join(COMMAND_DEADLINE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
