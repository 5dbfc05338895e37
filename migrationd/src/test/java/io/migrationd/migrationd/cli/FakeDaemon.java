package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import io.migrationd.migrationd.qmp.JsonObject;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.jspecify.annotations.Nullable;

/**
 * A QMP server that answers each command from a list made before: the n-th use of a command gets its n-th answer, and
 * the last answer again after that. An answer is what stands behind {@code return}, or an error with its braces; lines
 * before it, separated by newlines, are sent first (events).
 */
final class FakeDaemon implements AutoCloseable {
    static final String GREETING = """
            {"QMP": {"version": {"qemu": {"micro": 0, "minor": 1, "major": 0}, "package": "fake"}, "capabilities": ["oob"]}}""";

    /** An answer after which the server closes the connection. */
    static final String HANG_UP = "hang up";

    /** An answer that never comes. */
    static final String SILENCE = "silence";

    private final Path socket;
    private final ServerSocketChannel server;
    private final Thread thread;
    private final String greeting;
    private final Map<String, Deque<String>> answers = new HashMap<>();
    private final List<String> received = new CopyOnWriteArrayList<>();
    private volatile @Nullable SocketChannel client;

    private FakeDaemon(Path socket, String greeting) throws IOException {
        this.socket = socket;
        this.greeting = greeting;
        this.server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        this.thread = Thread.ofPlatform().name("fake-daemon").unstarted(this::serve);
        server.bind(UnixDomainSocketAddress.of(socket));
    }

    static FakeDaemon at(Path directory) throws IOException {
        return at(directory, GREETING);
    }

    static FakeDaemon at(Path directory, String greeting) throws IOException {
        return new FakeDaemon(directory.resolve("control.sock"), greeting).answering("qmp_capabilities", "{}");
    }

    FakeDaemon answering(String command, String... inOrder) {
        answers.put(command, new ArrayDeque<>(List.of(inOrder)));
        return this;
    }

    FakeDaemon start() {
        thread.start();
        return this;
    }

    Path socket() {
        return socket;
    }

    /** What came after the negotiation, without the ids. */
    List<String> received() {
        return received.stream()
                .filter(line -> !line.contains("qmp_capabilities"))
                .map(line -> line.replaceFirst(",\"id\":[0-9]+}$", "}"))
                .toList();
    }

    /** What came, byte for byte. */
    List<String> receivedLines() {
        return List.copyOf(received);
    }

    @Override
    public void close() throws IOException {
        server.close();
        SocketChannel open = client;
        if (open != null) {
            open.close();
        }
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new AssertionError("interrupted while the fake daemon ends", e);
        }
    }

    private void serve() {
        try (SocketChannel channel = server.accept()) {
            client = channel;
            send(channel, greeting);
            BufferedReader in =
                    new BufferedReader(new InputStreamReader(Channels.newInputStream(channel), StandardCharsets.UTF_8));
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                received.add(line);
                if (!answer(channel, line)) {
                    return;
                }
            }
        } catch (ClosedChannelException _) {
            // The test is over.
        } catch (IOException e) {
            throw new AssertionError("fake daemon", e);
        }
    }

    private boolean answer(SocketChannel channel, String line) throws IOException {
        JsonObject command = Json.parseObject(line);
        String name = command.text("execute").or(() -> command.text("exec-oob")).orElse("");
        Deque<String> inOrder = answers.getOrDefault(name, new ArrayDeque<>());
        String answer = inOrder.isEmpty()
                ? """
                {"error": {"class": "CommandNotFound", "desc": "The command %s has not been found"}}""".formatted(name)
                : inOrder.size() > 1 ? inOrder.removeFirst() : inOrder.getFirst();
        if (answer.equals(HANG_UP)) {
            return false;
        }
        if (answer.equals(SILENCE)) {
            return true;
        }
        int last = answer.lastIndexOf('\n');
        for (String event : answer.substring(0, Math.max(last, 0)).lines().toList()) {
            send(channel, event);
        }
        send(channel, reply(answer.substring(last + 1), command));
        return true;
    }

    private static String reply(String answer, JsonObject command) {
        String body =
                answer.startsWith("{\"error\"") ? answer.substring(1, answer.length() - 1) : "\"return\": " + answer;
        Object id = command.members().get("id");
        return id == null ? "{%s}".formatted(body) : "{%s, \"id\": %s}".formatted(body, Json.write(id));
    }

    private static void send(SocketChannel channel, String line) throws IOException {
        ByteBuffer bytes = StandardCharsets.UTF_8.encode(line + "\r\n");
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }
}
