package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.TargetMachine;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.peer.MoveOrder;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.peer.PeerWordCodec;
import io.migrationd.protocol.stream.IllegalTransitionException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What peers' daemons ask this one, and what it asks them before a move. Owns the threads {@code move-check}. */
final class PeerAnswers implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PeerAnswers.class);
    private static final long ANSWER_SECONDS = 20;
    private static final int MOST_QUESTIONS = 16;

    private final String host;
    private final GuestBook book;
    private final MoveService moves;
    private final Map<UUID, CompletableFuture<JsonNode>> questions = new ConcurrentHashMap<>();
    private final ThreadPoolExecutor workers = new ThreadPoolExecutor(
            0,
            2,
            10,
            TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(MOST_QUESTIONS),
            Thread.ofPlatform().name("move-check-", 0).daemon().factory());

    PeerAnswers(String host, GuestBook book, MoveService moves) {
        this.host = host;
        this.book = book;
        this.moves = moves;
    }

    // ---- asking ----

    /** Asks the other end of the line whether it could take this guest; waits for the answer. */
    JsonNode ask(PeerLine line, MoveOrder order) throws IOException {
        UUID question = UUID.randomUUID();
        CompletableFuture<JsonNode> answer = new CompletableFuture<>();
        questions.put(question, answer);
        PeerLine.User listening = new PeerLine.User() {
            @Override
            public void sessionReset(PeerSession session) {
                // Asked again below by who asked: a check is short.
            }

            @Override
            public void heard(PeerWord word) {
                answered(word);
            }
        };
        line.join(listening, false);
        try {
            line.send(new PeerWord.Check(question, order));
            return answer.get(ANSWER_SECONDS, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            throw new IOException("%s has not answered within %d s".formatted(line.name(), ANSWER_SECONDS), e);
        } catch (ExecutionException e) {
            throw new IOException("%s can't answer".formatted(line.name()), e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for " + line.name(), e);
        } finally {
            questions.remove(question);
            line.leave(listening);
        }
    }

    private void answered(PeerWord word) {
        switch (word) {
            case PeerWord.Facts facts ->
                Optional.ofNullable(questions.get(facts.question())).ifPresent(asked -> asked.complete(facts.facts()));
            case PeerWord.CheckFailed failed ->
                Optional.ofNullable(questions.get(failed.question()))
                        .ifPresent(asked -> asked.completeExceptionally(new IOException(failed.why())));
            default -> {
                // For moves.
            }
        }
    }

    // ---- answering ----

    /** A message over a session that a peer has made. On the session's thread: does not block. */
    void heard(PeerSession session, byte[] bytes) {
        PeerWord word;
        try {
            word = PeerWordCodec.decode(bytes);
        } catch (ProtocolException e) {
            log.atError()
                    .addKeyValue("peer", session.peerHost())
                    .setCause(e)
                    .log("the peer's message is not understood; ignored");
            return;
        }
        switch (word) {
            case PeerWord.OfMove ofMove -> ofMove(session, ofMove);
            case PeerWord.Check check -> check(session, check);
            case PeerWord.Clock clock
            when !clock.answer() ->
                send(session, new PeerWord.Clock(true, clock.sentAtMillis(), System.currentTimeMillis()));
            case PeerWord.Clock _, PeerWord.Facts _, PeerWord.CheckFailed _ ->
                log.atWarn().addKeyValue("peer", session.peerHost()).log("an answer that nobody asked for; ignored");
        }
    }

    private void check(PeerSession session, PeerWord.Check check) {
        try {
            workers.execute(() -> {
                PeerWord answer;
                try {
                    answer = new PeerWord.Facts(check.question(), book.targetFacts(check.order()));
                } catch (IOException | RuntimeException e) {
                    log.atWarn()
                            .addKeyValue("guest", check.order().guest())
                            .setCause(e)
                            .log("check not answered");
                    answer = new PeerWord.CheckFailed(check.question(), String.valueOf(e.getMessage()));
                }
                send(session, answer);
            });
        } catch (RejectedExecutionException e) {
            send(session, new PeerWord.CheckFailed(check.question(), host + " has too many questions to answer now"));
        }
    }

    private void ofMove(PeerSession session, PeerWord.OfMove word) {
        Optional<TargetMove> known = moves.target(word.move());
        if (known.isPresent()) {
            if (known.get().outcome().isPresent() || !known.get().heard(session, word)) {
                answerFrom(known.get().state(), session, word);
            }
        } else if (word.message() instanceof PeerMessage.Prepare) {
            prepare(session, word);
        } else {
            answerFrom(moves.pastState(word.move()), session, word);
        }
    }

    private void prepare(PeerSession session, PeerWord.OfMove word) {
        MoveOrder order = word.order().orElseThrow();
        Optional<GuestBook.DefinedGuest> guest = book.byUuid(order.uuid());
        Optional<String> refusal = guest.isEmpty()
                ? Optional.of("%s has no definition of a QEMU guest with uuid %s".formatted(host, order.uuid()))
                : guest.get().mayArrive()
                        ? moves.refusal(order.uuid(), guest.get().name())
                        : Optional.of("the definition of '%s' at %s says nothing of how to take it in"
                                .formatted(guest.get().name(), host));
        if (refusal.isPresent()) {
            send(session, PeerWord.OfMove.plain(word.move(), new PeerMessage.Refused(refusal.get())));
            return;
        }
        TargetMove move = new TargetMove(
                new TargetJob(word.move(), guest.orElseThrow().name(), order, System.currentTimeMillis()),
                TargetState.NO_RECORD,
                moves.services());
        moves.started(move);
        move.startListening();
        boolean _ = move.heard(session, word);
    }

    /** From the record alone: a machine whose move is over only answers. */
    private void answerFrom(TargetState state, PeerSession session, PeerWord.OfMove word) {
        try {
            TargetMachine.step(state, new MoveEvent.FromPeer(word.message())).actions().stream()
                    .filter(MoveAction.Send.class::isInstance)
                    .map(MoveAction.Send.class::cast)
                    .forEach(said -> send(session, PeerWord.OfMove.plain(word.move(), said.message())));
        } catch (IllegalTransitionException e) {
            log.atError()
                    .addKeyValue("peer", session.peerHost())
                    .addKeyValue("move", word.move())
                    .setCause(e)
                    .log("the peer said what it may not say now; ignored");
        }
    }

    private static void send(PeerSession session, PeerWord word) {
        try {
            session.send(PeerWordCodec.encode(word));
        } catch (IOException e) {
            log.atWarn().addKeyValue("peer", session.peerHost()).setCause(e).log("answer not sent");
        }
    }

    @Override
    public void close() {
        workers.shutdownNow();
    }
}
