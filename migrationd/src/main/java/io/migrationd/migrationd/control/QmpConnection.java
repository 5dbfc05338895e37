package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.control.CommandException.ErrorClass;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.Meters.CommandOutcome;
import io.migrationd.postcopy.os.DirectSocket;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXSocketChannel;
import org.newsclub.net.unix.FileDescriptorCast;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One client, with three threads that {@link #start} starts and {@link #close} ends: {@code ctl-read-<n>} reads, cuts
 * and parses what comes, {@code ctl-client-<n>} runs its commands one after another, {@code ctl-write-<n>} writes
 * answers and events. Source of the rules: QEMU 10.0 monitor/qmp.c.
 *
 * <p>Out-of-band commands run on the reading thread, as soon as they are read: they overtake whatever waits or hangs.
 * In-band commands wait in a queue of {@value #MAX_IN_FLIGHT} (of one before out-of-band execution is negotiated).
 * While it is full, nothing more is read.
 */
final class QmpConnection implements EventHub.Subscriber {
    private static final Logger log = LoggerFactory.getLogger(QmpConnection.class);

    /** Commands read and not yet answered, once out-of-band execution is on. */
    static final int MAX_IN_FLIGHT = 8;

    private static final int BUFFER_BYTES = 16 * 1024;

    /** For a client that does not read; what waits for it is bounded, its patience need not be. */
    private static final long STALL_MILLIS = TimeUnit.DAYS.toMillis(1);

    /** What a connection needs of its server. {@code ended} is called once, from any thread, and must not block. */
    record Setting(
            CommandTable table,
            Optional<String> guest,
            DaemonFacts facts,
            EventHub events,
            Meters meters,
            int maxMessageBytes,
            int maxOutgoingBytes,
            Consumer<QmpConnection> ended) {}

    private final long number;
    private final AFUNIXSocketChannel channel;
    private final DirectSocket socket;
    private final Peer peer;
    private final Role role;
    private final Setting setting;
    private final List<Thread> threads;

    // Client's thread only.
    private boolean negotiated;

    // Guarded by this.
    private final Deque<QmpRequest> requests = new ArrayDeque<>();
    private final Deque<byte[]> outgoing = new ArrayDeque<>();
    private long outgoingBytes;
    private int inFlight;
    private boolean outOfBand;
    /** The client will send nothing more. */
    private boolean inputEnded;
    /** And all that it sent is answered. */
    private boolean answered;

    private boolean closed;

    /**
     * Takes the channel over, which is never read nor written by its own methods: junixsocket 2.10.1 closes it when a
     * write fails, under a thread that is about to read; and that one then reads what another client says, which got
     * the same descriptor.
     */
    QmpConnection(long number, AFUNIXSocketChannel channel, Peer peer, Role role, Setting setting) throws IOException {
        this.number = number;
        this.channel = channel;
        this.socket = new DirectSocket(
                FileDescriptorCast.using(channel.getFileDescriptor()).as(Integer.class));
        this.peer = peer;
        this.role = role;
        this.setting = setting;
        this.threads = List.of(
                thread("ctl-read-", this::readAll),
                thread("ctl-client-", this::work),
                thread("ctl-write-", this::writeAll));
    }

    /** Greets the client and serves it. */
    void start() {
        send(Json.line(Version.greeting(setting.facts())));
        threads.forEach(Thread::start);
    }

    List<Thread> threads() {
        return threads;
    }

    @Override
    public Optional<String> onlyGuest() {
        return setting.guest();
    }

    /** Ends the threads; that of the commands after the one that it runs. */
    void close() {
        setting.events().unsubscribe(this);
        synchronized (this) {
            closed = true;
            notifyAll();
        }
        socket.stop(this::closeChannel);
    }

    /** Neither thread uses the descriptor any more. */
    private void closeChannel() {
        try {
            channel.close();
        } catch (IOException e) {
            log.atWarn().setCause(e).addKeyValue("client", this).log("client's socket was not closed cleanly");
        }
    }

    private Thread thread(String prefix, IoLoop loop) {
        return Thread.ofPlatform().daemon().name(prefix + number).unstarted(() -> {
            try {
                loop.run();
            } catch (IOException e) {
                end("its socket failed: " + e);
            } catch (InterruptedException e) {
                end("thread " + Thread.currentThread().getName() + " was interrupted");
            } catch (RuntimeException | Error e) {
                end("a fault of the daemon: " + e);
                throw e;
            }
        });
    }

    private interface IoLoop {
        void run() throws IOException, InterruptedException;
    }

    // ---- reading ----

    private void readAll() throws IOException, InterruptedException {
        JsonFramer framer = new JsonFramer(setting.maxMessageBytes(), Json.MAX_NESTING);
        MemorySegment memory = Arena.ofAuto().allocate(BUFFER_BYTES);
        ByteBuffer input = memory.asByteBuffer();
        for (int count = socket.receive(memory); count > 0; count = socket.receive(memory)) {
            input.limit(count).position(0);
            while (awaitRoom()) {
                JsonFramer.Frame frame = framer.next(input);
                if (frame == null) {
                    break;
                }
                accept(frame);
            }
        }
        synchronized (this) {
            inputEnded = true;
            notifyAll();
        }
    }

    /** Whether there is room for one more request; else the connection is closed. */
    private synchronized boolean awaitRoom() throws InterruptedException {
        while (!closed && inFlight >= (outOfBand ? MAX_IN_FLIGHT : 1)) {
            wait();
        }
        return !closed;
    }

    private void accept(JsonFramer.Frame frame) {
        QmpRequest request = parse(frame);
        if (request instanceof QmpRequest.Execute execute && execute.outOfBand()) {
            // Here and not in the queue: it must overtake commands that wait.
            execute(execute);
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

    private synchronized boolean outOfBandEnabled() {
        return outOfBand;
    }

    // ---- answering ----

    private void work() throws InterruptedException {
        for (QmpRequest request = take(); request != null; request = take()) {
            answer(request);
            synchronized (this) {
                inFlight--;
                notifyAll();
            }
        }
        synchronized (this) {
            answered = true;
            notifyAll();
        }
    }

    private synchronized @Nullable QmpRequest take() throws InterruptedException {
        while (requests.isEmpty() && !closed && !inputEnded) {
            wait();
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
            if (request.outOfBand() && !command.outOfBand()) {
                throw new CommandException("The command %s does not support OOB".formatted(command.name()));
            }
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
                    .addKeyValue("client", this)
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

    // ---- writing ----

    private void writeAll() throws IOException, InterruptedException {
        MemorySegment memory = Arena.ofAuto().allocate(BUFFER_BYTES);
        for (byte[] line = nextLine(); line != null; line = nextLine()) {
            for (int done = 0; done < line.length; done += BUFFER_BYTES) {
                int count = Math.min(BUFFER_BYTES, line.length - done);
                MemorySegment.copy(line, done, memory, ValueLayout.JAVA_BYTE, 0, count);
                socket.send(memory, count, STALL_MILLIS, _ -> {});
            }
            synchronized (this) {
                outgoing.poll();
                outgoingBytes -= line.length;
            }
        }
        end("it ended the connection");
    }

    /** Stays in the queue until it is written, so that it counts. */
    private synchronized byte @Nullable [] nextLine() throws InterruptedException {
        while (outgoing.isEmpty() && !closed && !answered) {
            wait();
        }
        return closed ? null : outgoing.peek();
    }

    // ---- any thread ----

    @Override
    public void send(byte[] line) {
        if (!enqueue(line)) {
            log.atWarn()
                    .addKeyValue("client", this)
                    .addKeyValue("waiting-bytes", setting.maxOutgoingBytes())
                    .log("client does not read and is disconnected");
            end("it does not read");
        }
    }

    /** One line of any length passes: the bound is for what piles up. */
    private synchronized boolean enqueue(byte[] line) {
        if (!closed) {
            if (!outgoing.isEmpty() && outgoingBytes + line.length > setting.maxOutgoingBytes()) {
                return false;
            }
            outgoing.add(line);
            outgoingBytes += line.length;
            notifyAll();
        }
        return true;
    }

    private void end(String reason) {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            notifyAll();
        }
        log.atDebug().addKeyValue("client", this).addKeyValue("reason", reason).log("connection ends");
        setting.ended().accept(this);
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
