package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.MovePlan;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.session.EventSink;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * All moves of QEMU guests of this daemon: starts those that are asked for here, takes those that peers ask for, goes
 * on with what an earlier daemon has left. Any thread. Owns the threads {@code move-timer} and {@code move-news}, and
 * the loops.
 */
final class MoveService implements MoveOperations, MoveServices, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(MoveService.class);

    private static final int MOST_MOVES = 64;
    private static final int MOST_ENDED = 64;
    private static final Duration LINK_WAIT = Duration.ofSeconds(5);
    private static final long RETRY_PAUSE_MILLIS = 2_000;
    private static final long NEWS_CLOSE_SECONDS = 2;

    private final MoveParts parts;
    private final PeerAnswers answers;
    private final ScheduledExecutorService timer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("move-timer").daemon().factory());
    private final ExecutorService announcer = Executors.newSingleThreadExecutor(
            Thread.ofPlatform().name("move-news").daemon().factory());
    // Guarded by this.
    private final Map<String, PeerLine> lines = new LinkedHashMap<>();
    private final Map<String, SourceMove> sources = new LinkedHashMap<>();
    private final Map<UUID, TargetMove> targets = new LinkedHashMap<>();
    private final Deque<MoveView> ended = new ArrayDeque<>();
    private final Deque<TargetMove> past = new ArrayDeque<>();
    /** By guest: failed moves that wait for their next attempt. */
    private final Map<String, Retry> retries = new HashMap<>();

    private boolean closed;

    /** An attempt to come, of the move that has failed last. */
    private record Retry(UUID failed, ScheduledFuture<?> due) {}

    /** Does nothing before {@link #goOn}. */
    public MoveService(MoveParts parts) {
        this.parts = parts;
        this.answers = new PeerAnswers(parts.host(), parts.book(), this);
    }

    // ---- what the drivers need ----

    @Override
    public MoveStore store() {
        return parts.store();
    }

    @Override
    public EventSink events() {
        return parts.events();
    }

    @Override
    public void announce(Runnable news) {
        try {
            announcer.execute(() -> {
                try {
                    news.run();
                } catch (RuntimeException e) {
                    log.atError().setCause(e).log("news of a move could not be told");
                }
            });
        } catch (RejectedExecutionException e) {
            news.run(); // The daemon stops: nobody waits any more.
        }
    }

    @Override
    public MoveRelays relays() {
        return parts.relays();
    }

    @Override
    public IncomingProcess.Starter starter() {
        return parts.starter();
    }

    @Override
    public RescueTools rescues() {
        return parts.rescues();
    }

    @Override
    public boolean mayStartHere(String guest) {
        return parts.book().byName(guest).map(GuestBook.DefinedGuest::mayArrive).orElse(false);
    }

    @Override
    public String host() {
        return parts.host();
    }

    // ---- start and restart ----

    /** Goes on with what an earlier daemon has left. Once, before anything else. */
    public void goOn() {
        for (MoveParts.OpenSource left : parts.openSources()) {
            log.atInfo()
                    .addKeyValue("move", left.job().id())
                    .addKeyValue("guest", left.job().order().guest())
                    .addKeyValue("phase", left.state().phase())
                    .log("move of an earlier daemon: going on");
            startSource(left.job(), left.state(), new MoveEvent.Restarted(), true);
        }
        for (MoveParts.OpenTarget left : parts.openTargets()) {
            log.atInfo()
                    .addKeyValue("move", left.job().id())
                    .addKeyValue("guest", left.job().guest())
                    .addKeyValue("phase", left.state().phase())
                    .log("move of an earlier daemon: going on");
            TargetMove move = new TargetMove(left.job(), left.state(), this);
            synchronized (this) {
                targets.put(move.id(), move);
            }
            move.findProcess();
            move.start(new MoveEvent.Restarted());
        }
        for (SourceJob failed : parts.openRetries()) {
            synchronized (this) {
                remember(MoveViews.ofFailed(failed));
            }
            retryLater(failed, failed.id());
        }
    }

    /** A peer's daemon has called. */
    public void accepted(PeerSession session) {
        log.atInfo().addKeyValue("peer", session.peerHost()).log("a peer's daemon has called");
        session.onMessage(bytes -> answers.heard(session, bytes));
        session.onLost(why -> log.atInfo()
                .addKeyValue("peer", session.peerHost())
                .addKeyValue("reason", why)
                .log("session of a peer is over"));
    }

    /** Under way, or ended not long ago. */
    synchronized Optional<TargetMove> target(UUID id) {
        return Optional.ofNullable(targets.get(id));
    }

    /** A place for a move that a peer has asked for; the reason if there is none. */
    synchronized Optional<String> refusal(UUID uuid, String guest) {
        if (closed) {
            return Optional.of("this daemon is stopping");
        }
        if (targets.size() >= MOST_MOVES) {
            return Optional.of("%d moves are under way here".formatted(targets.size()));
        }
        boolean arriving = targets.values().stream()
                .anyMatch(move ->
                        move.outcome().isEmpty() && move.job().order().uuid().equals(uuid));
        if (arriving || sources.containsKey(guest)) {
            return Optional.of("guest '%s' is being moved already".formatted(guest));
        }
        return parts.runsHere(uuid);
    }

    /** What the journal has of a move that no loop has any more. */
    TargetState pastState(UUID id) {
        return parts.pastTarget(id);
    }

    MoveServices services() {
        return this;
    }

    void started(TargetMove move) {
        synchronized (this) {
            targets.put(move.id(), move);
        }
        parts.rehearsal().holdOnce(move.job().order());
    }

    private @Nullable SourceMove startSource(SourceJob job, SourceState state, MoveEvent first, boolean tellOfSession) {
        PeerLine line;
        SourceMove move;
        synchronized (this) {
            if (closed) {
                return null;
            }
            line = lines.computeIfAbsent(
                    job.peer(), name -> new PeerLine(name, job.addresses(), parts.dialing(), timer));
            move = new SourceMove(job, state, this, line);
            sources.put(job.order().guest(), move);
        }
        try {
            line.open();
        } catch (IOException e) {
            log.atWarn().addKeyValue("peer", job.peer()).setCause(e).log("no session yet");
        }
        move.start(first);
        line.join(move, tellOfSession);
        if (first instanceof MoveEvent.Start) {
            parts.rehearsal().holdOnce(job.order());
        }
        return move;
    }

    // ---- commands ----

    @Override
    public boolean isDefined(String guest) {
        return parts.book().byName(guest).isPresent();
    }

    private GuestBook.DefinedGuest defined(String guest) throws CommandException {
        return parts.book()
                .byName(guest)
                .orElseThrow(() -> new CommandException(
                        CommandException.ErrorClass.DEVICE_NOT_FOUND,
                        "no definition of a QEMU guest '%s' (guests.d/%s.toml)".formatted(guest, guest)));
    }

    @Override
    public List<Problem> check(String guest, MoveWish wish) throws CommandException {
        GuestBook.DefinedGuest defined = defined(guest);
        return look(defined, MoveSettings.of(wish, defined.defaults()), line(wish.to()))
                .problems();
    }

    private record Looked(List<Problem> problems, boolean running) {}

    /** Every problem at once: what can't be asked is a problem, and what else can be asked is asked all the same. */
    private Looked look(GuestBook.DefinedGuest guest, MoveSettings settings, PeerLine line) {
        List<Problem> problems = new ArrayList<>();
        parts.notOurs(guest.uuid()).ifPresent(why -> problems.add(new Problem("ownership", true, why)));
        Optional<GuestBook.SourceFacts> facts = Optional.empty();
        try {
            facts = Optional.of(parts.book().sourceFacts(guest));
        } catch (IOException e) {
            problems.add(new Problem("qemu-unreachable", true, String.valueOf(e.getMessage())));
        }
        PeerSession session = line.current();
        if (session == null || !line.awaitUp(LINK_WAIT)) {
            problems.add(new Problem(
                    "link",
                    true,
                    "no connection to the daemon of %s at %s within %d s"
                            .formatted(line.name(), line.addresses(), LINK_WAIT.toSeconds())));
            return new Looked(
                    problems, facts.map(GuestBook.SourceFacts::running).orElse(false));
        }
        try {
            JsonNode target = answers.ask(line, settings.order(guest.name(), guest.uuid(), host()));
            if (facts.isPresent()) {
                problems.addAll(parts.book().compare(guest, facts.get(), target, settings, session));
            }
        } catch (IOException e) {
            problems.add(new Problem("peer", true, String.valueOf(e.getMessage())));
        }
        return new Looked(problems, facts.map(GuestBook.SourceFacts::running).orElse(false));
    }

    private PeerLine line(String to) throws CommandException {
        List<MigrationUri> addresses = parts.addresses(to);
        if (addresses.isEmpty()) {
            throw new CommandException(
                    "no host '%s' in [peers] of the configuration, and no address tcp:HOST:PORT".formatted(to));
        }
        PeerLine line;
        synchronized (this) {
            line = lines.computeIfAbsent(to, name -> new PeerLine(name, addresses, parts.dialing(), timer));
        }
        try {
            line.open();
        } catch (IOException e) {
            throw new CommandException("no session with %s".formatted(to), e);
        }
        return line;
    }

    @Override
    public MoveView start(String guest, MoveWish wish) throws CommandException {
        GuestBook.DefinedGuest defined = defined(guest);
        synchronized (this) {
            refuseIfMoving(defined);
        }
        MoveSettings settings = MoveSettings.of(wish, defined.defaults());
        PeerLine line = line(wish.to());
        Looked looked = look(defined, settings, line);
        List<Problem> errors = looked.problems().stream().filter(Problem::error).toList();
        if (!errors.isEmpty()) {
            throw new CommandException("%s can't move to %s: %s".formatted(guest, wish.to(), words(errors)));
        }
        MovePlan plan = new MovePlan(
                settings.mayUsePostcopy() ? MovePlan.Mode.POSTCOPY : MovePlan.Mode.PRECOPY,
                looked.running(),
                parts.epoch(defined.uuid()));
        SourceJob job = new SourceJob(
                UUID.randomUUID(),
                defined.qmp(),
                wish.to(),
                line.addresses(),
                settings,
                settings.order(guest, defined.uuid(), host()),
                1,
                System.currentTimeMillis());
        SourceMove move;
        synchronized (this) {
            // Asked twice at once: one of them is refused here.
            refuseIfMoving(defined);
            var _ = takeRetry(guest);
            move = startSource(job, SourceState.initial(plan), new MoveEvent.Start(), false);
        }
        if (move == null) {
            throw new CommandException("this daemon is stopping");
        }
        return MoveViews.of(move);
    }

    private void refuseIfMoving(GuestBook.DefinedGuest guest) throws CommandException {
        if (sources.containsKey(guest.name())) {
            throw new CommandException("guest '%s' is being moved already, to %s"
                    .formatted(guest.name(), sources.get(guest.name()).job().peer()));
        }
        if (sources.size() >= MOST_MOVES) {
            throw new CommandException("%d moves are under way, no more are allowed".formatted(sources.size()));
        }
        if (targets.values().stream()
                .anyMatch(move ->
                        move.outcome().isEmpty() && move.job().order().uuid().equals(guest.uuid()))) {
            throw new CommandException("guest '%s' is arriving here".formatted(guest.name()));
        }
    }

    @Override
    public void cancel(String guest) throws CommandException {
        SourceMove move;
        synchronized (this) {
            move = sources.get(guest);
            if (move == null && retries.containsKey(guest)) {
                giveUp(guest, retries.get(guest).failed(), "cancelled by an operator between two attempts");
                return;
            }
        }
        if (move == null) {
            throw new CommandException("guest '%s' is not being moved from here".formatted(guest));
        }
        SourcePhase phase = move.state().phase();
        if (!MoveWords.mayBeCancelled(phase)) {
            throw new CommandException(
                    "the move of '%s' is %s: the guest may be the destination's, it can't be cancelled any more"
                            .formatted(guest, MoveWords.word(phase)));
        }
        move.offer(new MoveEvent.Cancel("cancelled by an operator"));
    }

    @Override
    public List<MoveView> moves() {
        List<MoveView> views = new ArrayList<>();
        synchronized (this) {
            sources.values().forEach(move -> views.add(MoveViews.of(move)));
            targets.values().forEach(move -> views.add(MoveViews.of(move)));
            ended.forEach(view -> views.add(withNextAttempt(view)));
        }
        views.sort(Comparator.comparingLong(MoveView::startedAtMillis).reversed());
        return views;
    }

    private MoveView withNextAttempt(MoveView view) {
        return view.withNextAttempt(Optional.ofNullable(retries.get(view.guest()))
                .filter(retry -> retry.failed().toString().equals(view.id()))
                .map(retry -> Duration.ofMillis(Math.max(0, retry.due().getDelay(TimeUnit.MILLISECONDS)))));
    }

    @Override
    public Optional<MoveView> find(String guest) {
        return moves().stream()
                .filter(view -> view.guest().equals(guest))
                .min(Comparator.comparing(view -> view.outcome().isPresent())); // The first, if all are over.
    }

    @Override
    public void rescue(String guest, RescueWish wish) throws CommandException {
        SourceMove move;
        synchronized (this) {
            move = sources.get(guest);
        }
        if (move == null) {
            throw new CommandException(
                    "guest '%s' is not being moved from here: the daemon of its source rescues it".formatted(guest));
        }
        Optional<String> refusal = move.rescue(wish.kind());
        if (refusal.isPresent()) {
            throw new CommandException(
                    "%s of '%s' is refused: %s".formatted(MoveWords.word(wish.kind()), guest, refusal.get()));
        }
    }

    @Override
    public List<JsonNode> reports(Optional<String> guest) {
        return parts.reports().list(guest);
    }

    @Override
    public Optional<JsonNode> report(String idOrGuest) {
        return parts.reports().find(idOrGuest);
    }

    @Override
    public void reclaim(String guest, boolean force) throws CommandException {
        GuestBook.DefinedGuest defined = defined(guest);
        synchronized (this) {
            refuseIfMoving(defined);
        }
        parts.reclaim(defined, force);
    }

    // ---- ends ----

    @Override
    public void sourceEnded(SourceMove move, boolean broken) {
        PeerLine line;
        synchronized (this) {
            sources.remove(move.job().order().guest(), move);
            line = lines.get(move.job().peer());
            if (!closed) {
                remember(MoveViews.of(move));
                if (!broken && move.outcome().filter(move::isRetried).isPresent()) {
                    retryLater(move.job(), move.id());
                }
            }
        }
        if (line != null) {
            line.leave(move);
        }
        Optional<Outcome> outcome = move.outcome();
        if (outcome.isEmpty() || closed) {
            return;
        }
        log.atInfo()
                .addKeyValue("move", move.id())
                .addKeyValue("guest", move.job().order().guest())
                .addKeyValue("outcome", MoveWords.word(outcome.get()))
                .log(move.message());
        parts.reports().write(move, outcome.get());
        // Behind its phases.
        announce(() -> events().event(
                        move.job().order().guest(),
                        "MOVE_ENDED",
                        Map.of("outcome", MoveWords.word(outcome.get()), "message", move.message())));
    }

    /** Between an attempt and the next one. */
    static Duration pauseAfter(SourceJob attempt) {
        return Duration.ofMillis(RETRY_PAUSE_MILLIS * attempt.attempt());
    }

    /**
     * Tries again after a pause.
     *
     * @param last the attempt before, which need not have become a move
     * @param failed the last move that was begun: the journal has the retry with it
     */
    private synchronized void retryLater(SourceJob last, UUID failed) {
        if (closed) {
            return;
        }
        long pauseMillis = pauseAfter(last).toMillis();
        log.atInfo()
                .addKeyValue("guest", last.order().guest())
                .addKeyValue("attempt", last.attempt() + 1)
                .addKeyValue("in-millis", pauseMillis)
                .log("move: will be tried again");
        retries.put(
                last.order().guest(),
                new Retry(failed, timer.schedule(() -> tryAgain(last, failed), pauseMillis, TimeUnit.MILLISECONDS)));
    }

    /**
     * Guarded by this. The journal needs no word of it when another move begins: a retry counts only while the failed
     * move is the newest of its guest.
     */
    private Optional<Retry> takeRetry(String guest) {
        Optional<Retry> taken = Optional.ofNullable(retries.remove(guest));
        taken.ifPresent(retry -> retry.due().cancel(false));
        return taken;
    }

    private void tryAgain(SourceJob last, UUID failed) {
        String guest = last.order().guest();
        GuestBook.DefinedGuest defined = parts.book().byName(guest).orElse(null);
        if (!isDue(guest, failed) || defined == null) {
            return;
        }
        log.atInfo()
                .addKeyValue("guest", guest)
                .addKeyValue("attempt", last.attempt() + 1)
                .log("move: tried again");
        try {
            Looked looked = look(defined, last.settings(), line(last.peer()));
            MovePlan plan = new MovePlan(
                    last.settings().mayUsePostcopy() ? MovePlan.Mode.POSTCOPY : MovePlan.Mode.PRECOPY,
                    looked.running(),
                    parts.epoch(defined.uuid()));
            SourceJob job = new SourceJob(
                    UUID.randomUUID(),
                    last.qmp(),
                    last.peer(),
                    last.addresses(),
                    last.settings(),
                    last.order(),
                    last.attempt() + 1,
                    System.currentTimeMillis());
            List<Problem> errors =
                    looked.problems().stream().filter(Problem::error).toList();
            if (errors.isEmpty()) {
                synchronized (this) {
                    // An operator may have cancelled it, or moved the guest, while the target was asked.
                    if (isDue(guest, failed)) {
                        var _ = takeRetry(guest);
                        startSource(job, SourceState.initial(plan), new MoveEvent.Start(), false);
                    }
                }
            } else if (job.attempt() <= job.settings().retries()) {
                synchronized (this) {
                    if (isDue(guest, failed)) {
                        retryLater(job, failed);
                    }
                }
            } else {
                giveUp(guest, failed, words(errors));
            }
        } catch (CommandException e) {
            giveUp(guest, failed, String.valueOf(e.getMessage()));
        }
    }

    private synchronized boolean isDue(String guest, UUID failed) {
        Retry retry = retries.get(guest);
        return !closed && retry != null && retry.failed().equals(failed) && !sources.containsKey(guest);
    }

    private synchronized void giveUp(String guest, UUID failed, String reason) {
        if (!isDue(guest, failed)) {
            return;
        }
        var _ = takeRetry(guest);
        try {
            store().undone(failed, MoveStore.RETRY);
        } catch (IOException e) {
            log.atError().addKeyValue("move", failed).setCause(e).log("a restarted daemon may try it again");
        }
        log.atError().addKeyValue("guest", guest).addKeyValue("reason", reason).log("move: not tried again");
        events().event(guest, "MOVE_GIVEN_UP", Map.of("reason", reason));
    }

    private static String words(List<Problem> problems) {
        return problems.stream()
                .map(problem -> "[%s] %s".formatted(problem.code(), problem.text()))
                .collect(Collectors.joining("; "));
    }

    @Override
    public void targetEnded(TargetMove move, boolean broken) {
        synchronized (this) {
            if (closed) {
                return;
            }
            // It stays to answer a source that asks again, until there are too many of them.
            past.addLast(move);
            while (past.size() > MOST_ENDED) {
                TargetMove oldest = past.removeFirst();
                targets.remove(oldest.id(), oldest);
            }
        }
    }

    private void remember(MoveView view) {
        ended.addFirst(view);
        while (ended.size() > MOST_ENDED) {
            ended.removeLast();
        }
    }

    Optional<LinkHealth> health(String peer) {
        PeerLine line;
        synchronized (this) {
            line = lines.get(peer);
        }
        return line == null ? Optional.empty() : line.health();
    }

    static long transferred(Optional<QemuMigration> seen) {
        return seen.flatMap(QemuMigration::ram)
                .map(QemuMigration.Ram::transferredBytes)
                .orElse(0L);
    }

    @Override
    public void close() {
        List<AutoCloseable> all = new ArrayList<>();
        synchronized (this) {
            closed = true;
            all.addAll(sources.values());
            all.addAll(targets.values());
            all.addAll(lines.values());
        }
        timer.shutdownNow();
        for (AutoCloseable part : all) {
            try {
                part.close();
            } catch (Exception e) {
                log.atError().setCause(e).log("not stopped cleanly");
            }
        }
        parts.rehearsal().close();
        announcer.shutdown();
        try {
            if (!announcer.awaitTermination(NEWS_CLOSE_SECONDS, TimeUnit.SECONDS)) {
                log.atWarn().log("the last news of moves is not told");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        answers.close();
    }
}
