package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.control.CommandException.ErrorClass;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.Meters.CommandOutcome;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One client. The server's I/O thread reads, cuts and parses what comes and writes what goes; the client's own thread
 * {@code ctl-client-<n>} runs its commands one after another. Source of the rules: QEMU 10.0 monitor/qmp.c.
 *
 * <p>In-band commands wait in a queue of {@value #MAX_IN_FLIGHT} (of one before out-of-band execution is negotiated).
 * While it is full, nothing more is read.
 */
final class QmpConnection implements EventHub.Subscriber {
    private static final Logger log = LoggerFactory.getLogger(QmpConnection.class);

    /** Commands read and not yet answered, once out-of-band execution is on. */
    static final int MAX_IN_FLIGHT = 8;

    private static final int INPUT_BYTES = 16 * 1024;

    /** What a connection needs of its server. */
    record Setting(
            CommandTable table,
            Optional<String> guest,
            DaemonFacts facts,
            EventHub events,
            Meters meters,
            int maxMessageBytes,
            int maxOutgoingBytes,
            Consumer<QmpConnection> attention) {}

    private final long number;
    private final SocketChannel channel;
    private final Peer peer;
    private final Role role;
    private final Setting setting;
    private final Thread worker;

    // I/O thread only.
    private final JsonFramer framer;
    private final ByteBuffer input = ByteBuffer.allocate(INPUT_BYTES).flip();
    private boolean inputEnded;

    // Client's thread only.
    private boolean negotiated;

    // Guarded by this.
    private final Deque<QmpRequest> requests = new ArrayDeque<>();
    private final Deque<ByteBuffer> outgoing = new ArrayDeque<>();
    private long outgoingBytes;
    private int inFlight;
    private boolean outOfBand;
    private boolean closed;

    QmpConnection(long number, SocketChannel channel, Peer peer, Role role, Setting setting) {
        this.number = number;
        this.channel = channel;
        this.peer = peer;
        this.role = role;
        this.setting = setting;
        this.framer = new JsonFramer(setting.maxMessageBytes(), Json.MAX_NESTING);
        this.worker = Thread.ofPlatform().daemon().name("ctl-client-" + number).unstarted(this::work);
    }

    /** Greets the client and starts its thread. */
    void start() {
        send(Json.line(Version.greeting(setting.facts())));
        worker.start();
    }

    Thread worker() {
        return worker;
    }

    Role role() {
        return role;
    }

    @Override
    public Optional<String> onlyGuest() {
        return setting.guest();
    }

    // ---- I/O thread ----

    /** Reads what is there. */
    void read() throws IOException {
        input.compact();
        if (channel.read(input) < 0) {
            inputEnded = true;
        }
        input.flip();
    }

    /** Cuts requests off the input as long as the queue has room. */
    void pump() {
        while (hasRoom()) {
            JsonFramer.Frame frame = framer.next(input);
            if (frame == null) {
                return;
            }
            accept(frame);
        }
    }

    /** Writes as much as the socket takes. */
    void flush() throws IOException {
        ByteBuffer next = firstOutgoing();
        while (next != null) {
            int written = channel.write(next);
            synchronized (this) {
                outgoingBytes -= written;
                if (next.hasRemaining()) {
                    return;
                }
                outgoing.removeFirst();
            }
            next = firstOutgoing();
        }
    }

    /** Whether there is room for input and the client may still send some. */
    boolean wantsRead() {
        return !inputEnded && !input.hasRemaining() && hasRoom();
    }

    boolean wantsWrite() {
        return firstOutgoing() != null;
    }

    /** Whether it was dropped, or the client sent its last word and has all its answers. */
    synchronized boolean finished() {
        boolean allAnswered = inputEnded && inFlight == 0 && !input.hasRemaining() && outgoing.isEmpty();
        return closed || allAnswered;
    }

    /** Ends the client's thread after the command that it runs. */
    void close() throws IOException {
        setting.events().unsubscribe(this);
        synchronized (this) {
            closed = true;
            notifyAll();
        }
        channel.close();
    }

    private void accept(JsonFramer.Frame frame) {
        QmpRequest request = parse(frame);
        if (request instanceof QmpRequest.Execute execute && execute.outOfBand()) {
            // Here and not in the queue: it must overtake commands that wait.
            sendError(execute.id(), outOfBandRefusal(execute.command()));
            return;
        }
        synchronized (this) {
            requests.add(request);
            inFlight++;
            notifyAll();
        }
    }

    private QmpRequest parse(JsonFramer.Frame frame) {
        return switch (frame) {
            case JsonFramer.Frame.Garbage(String reason) ->
                new QmpRequest.Malformed("JSON parse error, " + reason, null);
            case JsonFramer.Frame.Value(byte[] bytes) -> {
                try {
                    yield QmpRequest.of(Json.parse(bytes), outOfBandEnabled());
                } catch (Json.JsonSyntaxException e) {
                    yield new QmpRequest.Malformed(String.valueOf(e.getMessage()), null);
                }
            }
        };
    }

    /** None of the commands of this version may run out of band; those of QEMU that may are not there. */
    private CommandException outOfBandRefusal(String command) {
        return setting.table().has(command)
                ? new CommandException("The command %s does not support OOB".formatted(command))
                : new CommandException(
                        ErrorClass.COMMAND_NOT_FOUND, "The command %s has not been found".formatted(command));
    }

    private synchronized boolean hasRoom() {
        return !closed && inFlight < (outOfBand ? MAX_IN_FLIGHT : 1);
    }

    private synchronized boolean outOfBandEnabled() {
        return outOfBand;
    }

    private synchronized @Nullable ByteBuffer firstOutgoing() {
        return outgoing.peekFirst();
    }

    // ---- client's thread ----

    private void work() {
        try {
            for (QmpRequest request = take(); request != null; request = take()) {
                answer(request);
                synchronized (this) {
                    inFlight--;
                }
                setting.attention().accept(this);
            }
        } finally {
            drop(null);
        }
    }

    private synchronized @Nullable QmpRequest take() {
        while (requests.isEmpty() && !closed) {
            try {
                wait();
            } catch (InterruptedException e) {
                return null;
            }
        }
        return closed ? null : requests.poll();
    }

    private void answer(QmpRequest request) {
        switch (request) {
            case QmpRequest.Malformed malformed -> sendError(malformed.id(), new CommandException(malformed.reason()));
            case QmpRequest.Execute execute when negotiated -> execute(execute);
            case QmpRequest.Execute execute -> negotiate(execute);
        }
    }

    private void negotiate(QmpRequest.Execute request) {
        try {
            if (!request.command().equals(CommandTable.NEGOTIATE)) {
                throw new CommandException(
                        ErrorClass.COMMAND_NOT_FOUND,
                        "Expecting capabilities negotiation with '" + CommandTable.NEGOTIATE + "'");
            }
            setting.table().find(CommandTable.NEGOTIATE).argumentType().check("", request.arguments());
            JsonNode enable = request.arguments().get("enable");
            synchronized (this) {
                // There is one capability, and the check has seen that only it is named.
                outOfBand = enable != null && !enable.isEmpty();
            }
            negotiated = true;
            sendResult(request.id(), Json.object());
            // After the answer: a client does not expect an event before it.
            setting.events().subscribe(this);
        } catch (CommandException e) {
            sendError(request.id(), e);
        }
    }

    private void execute(QmpRequest.Execute request) {
        CommandOutcome outcome = CommandOutcome.ERROR;
        try {
            Command command = setting.table().find(request.command());
            if (!role.includes(command.needs())) {
                outcome = CommandOutcome.REFUSED;
                throw new CommandException("The command %s needs the right '%s'; uid %s has '%s'"
                        .formatted(
                                command.name(),
                                command.needs().label(),
                                Integer.toUnsignedString(peer.uid()),
                                role.label()));
            }
            JsonNode result = command.run(new Arguments(request.arguments()));
            outcome = CommandOutcome.OK;
            note(request, command.needs(), "done");
            sendResult(request.id(), result);
        } catch (CommandException e) {
            note(request, Role.OPERATE, String.valueOf(e.getMessage()));
            sendError(request.id(), e);
        } catch (RuntimeException e) {
            log.atError()
                    .setCause(e)
                    .addKeyValue("command", request.command())
                    .addKeyValue("client", number)
                    .log("command failed by a fault of the daemon");
            sendError(
                    request.id(),
                    new CommandException("The command %s failed by a fault of the daemon; its log has the details"
                            .formatted(request.command())));
        } finally {
            boolean known = setting.table().has(request.command());
            setting.meters().command(known ? request.command() : "unknown", outcome);
        }
    }

    /** Who did what: what changes something is logged for production, what asks is not. */
    private void note(QmpRequest.Execute request, Role needs, String outcome) {
        (needs == Role.OBSERVE ? log.atDebug() : log.atInfo())
                .addKeyValue("command", setting.table().has(request.command()) ? request.command() : "unknown")
                .addKeyValue(
                        "guest",
                        setting.guest()
                                .orElseGet(
                                        () -> request.arguments().path("guest").asText("")))
                .addKeyValue("peer", peer)
                .addKeyValue("outcome", outcome)
                .log("command");
    }

    // ---- any thread ----

    @Override
    public void send(byte[] line) {
        if (enqueue(line)) {
            setting.attention().accept(this);
        } else {
            drop("it does not read: more than %d bytes wait for it".formatted(setting.maxOutgoingBytes()));
        }
    }

    /** One line of any length passes: the bound is for what piles up. */
    private synchronized boolean enqueue(byte[] line) {
        if (!closed) {
            if (!outgoing.isEmpty() && outgoingBytes + line.length > setting.maxOutgoingBytes()) {
                return false;
            }
            outgoing.add(ByteBuffer.wrap(line));
            outgoingBytes += line.length;
        }
        return true;
    }

    private void drop(@Nullable String reason) {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            outgoing.clear();
            notifyAll();
        }
        if (reason != null) {
            log.atWarn()
                    .addKeyValue("client", number)
                    .addKeyValue("peer", peer)
                    .addKeyValue("reason", reason)
                    .log("client disconnected");
        }
        setting.attention().accept(this);
    }

    private void sendResult(@Nullable JsonNode id, JsonNode result) {
        ObjectNode reply = Json.object();
        reply.set("return", result);
        sendReply(reply, id);
    }

    private void sendError(@Nullable JsonNode id, CommandException e) {
        sendReply(error(e), id);
    }

    private static ObjectNode error(CommandException e) {
        ObjectNode reply = Json.object();
        reply.putObject("error").put("class", e.errorClass().qmpName()).put("desc", e.getMessage());
        return reply;
    }

    /** An error that answers no command. */
    static byte[] errorLine(CommandException e) {
        return Json.line(error(e));
    }

    private void sendReply(ObjectNode reply, @Nullable JsonNode id) {
        if (id != null) {
            reply.set("id", id);
        }
        send(Json.line(reply));
    }

    @Override
    public String toString() {
        return "client " + number + " (" + peer + ")";
    }
}
