package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.process.GuestMessage.Bye;
import io.migrationd.migrationd.guest.process.GuestMessage.Check;
import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import io.migrationd.migrationd.guest.process.GuestMessage.SectionHeader;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection of a VMM after its hello. A thread of the listener reads ({@link #serve}), a thread of the session
 * writes, any thread asks. A deadline that is missed ends the session: nobody knows then where the guest stands, and
 * its next hello says it.
 */
final class GuestSession {
    private static final Logger log = LoggerFactory.getLogger(GuestSession.class);
    private static final int QUEUED_REQUESTS = 16;
    private static final byte[] NO_PAYLOAD = {};

    private final GuestChannel channel;
    private final String guest;
    private final Duration deadline;
    private final Consumer<Map<String, Object>> onCheck;
    private final AtomicLong lastId = new AtomicLong();
    private final Map<Long, CompletableFuture<Answer>> pending = new ConcurrentHashMap<>();
    private final BlockingQueue<Outgoing> outgoing = new ArrayBlockingQueue<>(QUEUED_REQUESTS);
    private final AtomicReference<Optional<String>> end = new AtomicReference<>(Optional.empty());
    private final Thread writer;

    /** A reply and its payload. */
    record Answer(Reply reply, byte[] payload) {
        List<DeviceSection> sections() {
            List<DeviceSection> result = new ArrayList<>();
            int at = 0;
            for (SectionHeader section : reply.sections()) {
                byte[] body = Arrays.copyOfRange(payload, at, at + section.lengthBytes());
                result.add(new DeviceSection(section.name(), section.instanceId(), section.version(), body, null));
                at += section.lengthBytes();
            }
            return result;
        }
    }

    private record Outgoing(Optional<GuestMessage> message, byte[] payload) {}

    GuestSession(
            GuestChannel channel, String guest, Duration deadline, Consumer<Map<String, Object>> onCheck, long number) {
        this.channel = channel;
        this.guest = guest;
        this.deadline = deadline;
        this.onCheck = onCheck;
        this.writer = Thread.ofPlatform().name("guest-write-" + number).unstarted(this::writeAll);
        // Before any request that somebody may make of us.
        outgoing.add(new Outgoing(Optional.of(new Ready(GuestProtocol.VERSION)), NO_PAYLOAD));
    }

    /**
     * Reads until the connection ends, on the calling thread. On return both directions are down, the writer has ended
     * and every waiting request has failed; the channel is still to be closed.
     */
    void serve() {
        writer.start();
        try {
            while (true) {
                GuestMessageCodec.Line line = channel.readMessage();
                byte[] payload = line.payloadBytes() == 0 ? NO_PAYLOAD : channel.readPayload(line.payloadBytes());
                accept(line.message(), payload);
            }
        } catch (EOFException e) {
            end("its process has closed the connection");
        } catch (ProtocolException e) {
            log.atWarn().addKeyValue("guest", guest).setCause(e).log("guest broke the protocol");
            end("it broke the guest protocol: " + e.getMessage());
        } catch (IOException e) {
            end("the connection failed: " + e.getMessage());
        } finally {
            end("the session has ended");
            joinWriter();
        }
    }

    private void accept(GuestMessage message, byte[] payload) throws IOException {
        switch (message) {
            case Reply reply -> complete(reply, payload);
            case Check(Map<String, Object> report) -> onCheck.accept(report);
            case Bye(String reason) -> throw new EOFException(reason);
            case GuestMessage.Hello _, Ready _, GuestMessage.Refused _, Request _ ->
                throw new ProtocolException(
                        "message.type",
                        channel.offset(),
                        "reply, check or bye",
                        message.getClass().getSimpleName());
        }
    }

    private void complete(Reply reply, byte[] payload) throws ProtocolException {
        CompletableFuture<Answer> future = pending.remove(reply.id());
        if (future == null) {
            throw new ProtocolException(
                    "message.id", channel.offset(), "the id of a request without a reply", reply.id());
        }
        future.complete(new Answer(reply, payload));
    }

    /** Sends a request; the future fails with {@link GuestException} when the session ends first. Does not block. */
    CompletableFuture<Answer> send(GuestVerb verb, boolean start, List<DeviceSection> sections) {
        long id = lastId.incrementAndGet();
        List<SectionHeader> headers = sections.stream()
                .map(s -> new SectionHeader(s.idstr(), s.instanceId(), s.version(), s.body().length))
                .toList();
        CompletableFuture<Answer> future = new CompletableFuture<>();
        pending.put(id, future);
        Request request = new Request(id, verb, start, headers);
        if (!outgoing.offer(new Outgoing(Optional.of(request), payloadOf(sections)))) {
            end("%d requests wait to be sent".formatted(QUEUED_REQUESTS));
        }
        // The session may have ended between the two lines above: then nobody else fails this request.
        end.get().ifPresent(this::failPending);
        return future;
    }

    private static byte[] payloadOf(List<DeviceSection> sections) {
        ByteArrayOutputStream payload = new ByteArrayOutputStream();
        sections.forEach(section -> payload.writeBytes(section.body()));
        return payload.toByteArray();
    }

    /** Sends a request and waits for its success, at most the deadline. */
    Answer request(GuestVerb verb, boolean start, List<DeviceSection> sections) throws GuestException {
        CompletableFuture<Answer> future = send(verb, start, sections);
        Answer answer;
        try {
            answer = future.get(deadline.toMillis(), TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            String why = "it did not answer %s within %d ms".formatted(verb.jsonName(), deadline.toMillis());
            end(why);
            throw new GuestException("guest %s: %s".formatted(guest, why), e);
        } catch (ExecutionException e) {
            throw new GuestException("guest %s did not %s".formatted(guest, verb.jsonName()), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new GuestException("guest %s: interrupted during %s".formatted(guest, verb.jsonName()), e);
        }
        Optional<String> error = answer.reply().error();
        if (error.isPresent()) {
            throw new GuestException("guest %s refused to %s: %s".formatted(guest, verb.jsonName(), error.get()));
        }
        return answer;
    }

    /** Why the session has ended; empty while it lives. */
    Optional<String> endReason() {
        return end.get();
    }

    /** Ends the session; the first reason stays. Any thread. */
    void end(String reason) {
        if (end.compareAndSet(Optional.empty(), Optional.of(reason))) {
            log.atInfo()
                    .addKeyValue("guest", guest)
                    .addKeyValue("reason", reason)
                    .log("guest session ended");
            channel.shutdown();
            Outgoing stop = new Outgoing(Optional.empty(), NO_PAYLOAD);
            while (!outgoing.offer(stop)) {
                outgoing.clear();
            }
            failPending(reason);
        }
    }

    private void failPending(String reason) {
        for (Long id : List.copyOf(pending.keySet())) {
            CompletableFuture<Answer> future = pending.remove(id);
            if (future != null) {
                future.completeExceptionally(new GuestException("guest %s: %s".formatted(guest, reason)));
            }
        }
    }

    private void writeAll() {
        try {
            while (true) {
                Outgoing next = outgoing.take();
                if (next.message().isEmpty()) {
                    return;
                }
                channel.write(next.message().get(), next.payload());
            }
        } catch (IOException e) {
            end("writing to it failed: " + e.getMessage());
        } catch (InterruptedException e) {
            end("the writer was interrupted");
        }
    }

    private void joinWriter() {
        try {
            // Shut down both ways, it cannot block for long.
            writer.join(deadline);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (writer.isAlive()) {
            log.atError()
                    .addKeyValue("guest", guest)
                    .addKeyValue("thread", writer.getName())
                    .log("thread did not stop");
        }
    }
}
