package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.guest.qemu.QemuStatus;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.MovePlan;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.QemuCommand;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.SourceMachine;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.Step;
import io.migrationd.migrationd.move.Timer;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpTimeoutException;
import io.migrationd.migrationd.report.MoveReport;
import java.io.IOException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The source's end of a move. Its thread {@code mig-move-…} alone writes what is not said to be for all. */
final class SourceMove extends MoveLoop<SourceState> implements PeerLine.User {
    private static final Logger log = LoggerFactory.getLogger(SourceMove.class);

    private static final long LOOK_MILLIS = 100;
    /** While the guest stands still. */
    private static final long QUICK_LOOK_MILLIS = 10;
    /** QEMU's event says when it has completed, and must not find this thread asking. */
    private static final long FINISHING_LOOK_MILLIS = 50;

    private static final String CAPABILITY_PREFIX = "capability.";
    private static final String PARAMETER_PREFIX = "parameter.";

    /** How long the guest may stand at the gate for a link that is down. */
    private static final long GATE_MILLIS = 2_000;

    private static final long RETRY_MILLIS = 500;
    private static final long STUCK_MILLIS = 10_000;
    /** Device state comes on top of what QEMU says is left. */
    private static final long DEVICE_STATE_BYTES = 64L << 20;

    private final SourceJob job;
    private final MoveServices services;
    private final PeerLine line;
    private final QemuHandle qemu;
    private final MoveRecorder recorder;
    private final SourcePolicy policy;
    private final MoveRescue rescue;
    private final RescueDriver rescuing;

    private @Nullable MoveRelay relay;
    private int attempt;
    private long nextLookNanos = System.nanoTime();
    private long gateDeadlineNanos;
    private boolean gateAsked;
    private boolean goneTold;
    // For views: written by the loop, read by all.
    private volatile Optional<QemuMigration> seen = Optional.empty();
    private volatile Optional<Outcome> outcome = Optional.empty();
    private volatile String message = "";
    private final List<MoveReport.Recovery> recovered = new CopyOnWriteArrayList<>();
    private long pausedAtNanos;
    private long resumedAtNanos;
    private int recoverAttempts;
    /** Nothing was under way when STUCK was put off the last time. */
    private boolean quiet;

    SourceMove(SourceJob job, SourceState initial, MoveServices services, PeerLine line) {
        super("mig-move-" + job.order().guest(), job.id(), initial);
        this.job = job;
        this.services = services;
        this.line = line;
        this.recorder = new MoveRecorder(job.id(), services.store(), services.host());
        this.policy = new SourcePolicy(job.settings());
        this.qemu = new QemuHandle(job.order().guest(), job.qmp(), () -> false, this::qemuEvent, this::stirred);
        this.rescue = new MoveRescue(job, services, recorder);
        this.rescuing = new RescueDriver(job, services, rescue, qemu, this::state);
    }

    /** Begins a rescue, or says why not; any thread. */
    Optional<String> rescue(MoveOperations.RescueKind kind) {
        Optional<String> refusal = rescuing.refusal(kind);
        if (refusal.isEmpty()) {
            offerTask(() -> {
                rescuing.begin(kind).ifPresent(this::found);
                if (rescue.isDraining()) {
                    // A paused QEMU has no connection any more; what is left of the path would only be in the way.
                    closeRelay();
                }
                nextLookNanos = System.nanoTime();
            });
        }
        return refusal;
    }

    /** What a rescue does now. */
    Optional<String> rescueWords() {
        return Optional.of(rescue.words()).filter(words -> !words.isEmpty());
    }

    SourceJob job() {
        return job;
    }

    Optional<Outcome> outcome() {
        return outcome;
    }

    String message() {
        return message;
    }

    Optional<QemuMigration> seen() {
        return seen;
    }

    MoveRecorder recorder() {
        return recorder;
    }

    Optional<LinkHealth> link() {
        return line.health();
    }

    int recoveries() {
        return recovered.size();
    }

    Optional<String> lastDecision() {
        return policy.last();
    }

    // ---- the peer ----

    @Override
    public void sessionReset(PeerSession session) {
        offer(new MoveEvent.SessionReset());
    }

    @Override
    public void heard(PeerWord word) {
        switch (word) {
            case PeerWord.OfMove ofMove
            when ofMove.move().equals(id()) -> {
                boolean _ = offerTask(() -> {
                    ofMove.timeline().ifPresent(recorder::peerTimeline);
                    recorder.heard(ofMove.message(), line.health());
                    offerFound(new MoveEvent.FromPeer(ofMove.message()));
                });
            }
            case PeerWord.Clock clock when clock.answer() -> recorder.clock(clock, System.currentTimeMillis());
            default -> {
                // Another move's.
            }
        }
    }

    private void offerFound(MoveEvent event) {
        offer(event);
    }

    // ---- QEMU ----

    private void qemuEvent(QmpEvent event) {
        recorder.qemuEvent(event.name(), event.data());
    }

    private void stirred() {
        boolean _ = offerTask(() -> nextLookNanos = System.nanoTime());
    }

    @Override
    long untilLook() {
        return Math.max(0, TimeUnit.NANOSECONDS.toMillis(nextLookNanos - System.nanoTime()));
    }

    @Override
    void look() {
        if (nextLookNanos - System.nanoTime() > 0) {
            return;
        }
        SourcePhase phase = state().phase();
        nextLookNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(lookMillis(phase));
        if (phase == SourcePhase.NEW || phase == SourcePhase.ENDED) {
            return;
        }
        rescuing.restoreOnce().ifPresent(this::found);
        if (rescuing.isReplacing()) {
            // Its socket is the new QEMU's by now.
            rescuing.pollReplacement().ifPresent(this::found);
            return;
        }
        Optional<QemuFact> said = lookAtQemu(phase);
        if (gateAsked) {
            checkGate();
        }
        watchRelay();
        rescuing.poll(said).ifPresent(this::found);
    }

    private Optional<QemuFact> lookAtQemu(SourcePhase phase) {
        switch (qemu.look()) {
            case QemuHandle.Look.Said said -> {
                seen = Optional.of(said.migration());
                recorder.counters(said.migration());
                tell(rescue.fact(said.fact()));
                if (phase == SourcePhase.MOVING && said.migration().status() == QemuStatus.ACTIVE) {
                    decide(said.migration());
                }
                return Optional.of(said.fact());
            }
            case QemuHandle.Look.Gone gone -> {
                if (rescue.outlivesQemu()) {
                    tell(rescue.fact(QemuFact.UNKNOWN));
                } else if (!goneTold) {
                    goneTold = true;
                    note("QEMU is gone: " + gone.why());
                    found(new MoveEvent.QemuGone());
                }
            }
            case QemuHandle.Look.Busy busy ->
                log.atDebug()
                        .addKeyValue("move", id())
                        .addKeyValue("why", busy.why())
                        .log("QEMU does not answer now");
        }
        return Optional.empty();
    }

    private void tell(QemuFact fact) {
        if (isNews(state().fact(), fact)) {
            found(new MoveEvent.Qemu(fact));
        }
    }

    private static long lookMillis(SourcePhase phase) {
        return switch (phase) {
            case GATE, STOPPING, SWITCHING, PACKAGING -> QUICK_LOOK_MILLIS;
            case FINISHING -> FINISHING_LOOK_MILLIS;
            case NEW, PREPARING, MOVING, RELEASED, PAGING, RECOVERING, CLOSING, RETURNING, ABORTING, STRANDED, ENDED ->
                LOOK_MILLIS;
        };
    }

    /**
     * A broken path in postcopy is QEMU's pause; before it QEMU fails. Both are seen by looking; here it is only said.
     */
    private void watchRelay() {
        MoveRelay open = relay;
        if (open != null) {
            open.broken().ifPresent(why -> recorder.once("relay broken", why));
            rescue.keep(open);
        }
    }

    private void decide(QemuMigration migration) {
        LinkHealth health = line.health().orElse(null);
        for (SourcePolicy.Order order : policy.look(migration, health)) {
            recorder.decision(MoveWords.word(order), order.reason());
            services.events().event(job.order().guest(), "MOVE_DECISION", Map.of("reason", order.reason()));
            switch (order) {
                case SourcePolicy.Order.SetParameters(Map<String, Object> parameters, String _) -> {
                    try {
                        var _ = qemu.guest().setParameters(parameters);
                    } catch (QmpException | QmpConnectionException e) {
                        note("parameters not set: " + e.getMessage());
                    }
                }
                case SourcePolicy.Order.SwitchOver _ -> found(new MoveEvent.SwitchOver());
                case SourcePolicy.Order.StartPostcopy _ -> found(new MoveEvent.StartPostcopy());
                case SourcePolicy.Order.Cancel(String reason) -> found(new MoveEvent.Cancel(reason));
            }
        }
    }

    // ---- what the machine wants ----

    @Override
    Step<SourceState> step(SourceState before, MoveEvent event) {
        return SourceMachine.step(before, event);
    }

    @Override
    void stepped(SourceState before, MoveEvent event, SourceState next) {
        if (before.phase() == next.phase()) {
            return;
        }
        quiet = false;
        MoveRelay open = relay;
        if (next.phase() == SourcePhase.PAGING && open != null) {
            open.adaptRoom();
        }
        if (before.phase() == SourcePhase.MOVING && next.plan().mode() == MovePlan.Mode.POSTCOPY && open != null) {
            open.bulk(false); // Pages that a guest waits for may come next.
        }
        if (next.phase() == SourcePhase.RECOVERING) {
            pausedAtNanos = System.nanoTime();
            recoverAttempts = 0;
        }
        if (next.phase() == SourcePhase.PAGING && before.phase() == SourcePhase.RECOVERING) {
            episode();
        }
        recorder.phase(next.phase().name());
        // Something follows from a new phase that QEMU may have said already.
        nextLookNanos = System.nanoTime();
    }

    @Override
    void announced(SourceState before, MoveEvent event, SourceState next) {
        if (before.phase() == next.phase()) {
            return;
        }
        services.announce(() -> {
            log.atInfo()
                    .addKeyValue("move", id())
                    .addKeyValue("guest", job.order().guest())
                    .addKeyValue("from", before.phase())
                    .addKeyValue("to", next.phase())
                    .addKeyValue("event", event)
                    .log("move: phase changed");
            services.events()
                    .event(
                            job.order().guest(),
                            "MOVE_PHASE",
                            Map.of("phase", MoveWords.word(next.phase()), "role", "source"));
        });
    }

    private void episode() {
        long now = System.nanoTime();
        recovered.add(new MoveReport.Recovery(
                recorder.lastReason(),
                null,
                (resumedAtNanos - pausedAtNanos) / 1e6,
                (now - resumedAtNanos) / 1e6,
                null,
                (long) recoverAttempts));
    }

    /** Recoveries of QEMU's own postcopy, for the report. */
    List<MoveReport.Recovery> recovered() {
        return recovered;
    }

    @Override
    void write(SourceState next, MoveAction.Write write) throws IOException {
        MoveRelay open = relay;
        if (open != null && next.phase() != SourcePhase.ENDED) {
            // Before the release: what is lost with this daemon can't be asked for again.
            rescue.keep(open);
        }
        services.store().write(job, next, write.ownership(), write.epoch());
    }

    @Override
    void perform(MoveAction action) {
        switch (action) {
            case MoveAction.Send(PeerMessage said) -> send(said);
            case MoveAction.OpenRelay _ -> openRelay();
            case MoveAction.CloseRelay _ -> closeRelay();
            case MoveAction.CheckGate _ -> {
                gateAsked = true;
                gateDeadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(GATE_MILLIS);
                checkGate();
            }
            case MoveAction.Refuse(String why) -> {
                note("refused: " + why);
                log.atWarn().addKeyValue("move", id()).addKeyValue("why", why).log("move: refused");
            }
            case MoveAction.Write _, MoveAction.Command _, MoveAction.Arm _, MoveAction.Note _, MoveAction.Finish _ ->
                throw new AssertionError("done by the loop: " + action);
        }
    }

    private void send(PeerMessage said) {
        if (said instanceof PeerMessage.Prepare || said instanceof PeerMessage.Recover) {
            attempt++;
        }
        if (said instanceof PeerMessage.Prepare) {
            line.send(new PeerWord.Clock(false, System.currentTimeMillis(), 0));
        }
        Optional<io.migrationd.migrationd.peer.MoveOrder> order =
                said instanceof PeerMessage.Prepare ? Optional.of(job.order()) : Optional.empty();
        line.send(new PeerWord.OfMove(id(), said, attempt, order, Optional.empty()));
    }

    /** The rest must have a place to go when the gate is passed: a QEMU that blocks there is deaf. */
    private void checkGate() {
        boolean up = line.health().map(LinkHealth::up).orElse(false);
        if (up) {
            gateAsked = false;
            long left =
                    seen.flatMap(QemuMigration::ram).map(MoveWords::remaining).orElse(0L);
            MoveRelay open = relay;
            if (open != null) {
                open.makeRoom(left + DEVICE_STATE_BYTES);
            }
            found(new MoveEvent.GateChecked(true, "the link is up, %d bytes are left".formatted(left)));
        } else if (gateDeadlineNanos - System.nanoTime() <= 0) {
            gateAsked = false;
            found(new MoveEvent.GateChecked(false, "the link was down at the gate for %d ms".formatted(GATE_MILLIS)));
        }
    }

    private void openRelay() {
        closeRelay();
        quiet = false;
        PeerSession session = line.current();
        if (session == null) {
            note("no session: the byte path is not opened");
            return;
        }
        try {
            MoveRelay opened = services.relays()
                    .source(session, id(), attempt, job.order(), job.settings().downtimeLimitMillis());
            opened.bulk(state().phase() == SourcePhase.MOVING);
            relay = opened;
        } catch (IOException e) {
            note("the byte path can't be opened: " + e.getMessage());
            log.atError().addKeyValue("move", id()).setCause(e).log("relay not opened");
        }
    }

    /**
     * A QEMU whose connections stand is not stuck while what it has sent is under way: the link may be down, and it
     * must not notice. Once all is there the target gets a whole time more to answer.
     */
    @Override
    boolean isEarly(Timer timer) {
        SourcePhase phase = state().phase();
        MoveRelay open = relay;
        boolean inPostcopy = phase == SourcePhase.PAGING || phase == SourcePhase.RECOVERING;
        if (timer != Timer.STUCK || !inPostcopy || open == null || !open.stands()) {
            return false;
        }
        boolean quietBefore = quiet;
        quiet = !open.isBusy();
        return !(quiet && quietBefore);
    }

    private void closeRelay() {
        MoveRelay open = relay;
        relay = null;
        if (open != null) {
            rescue.keep(open);
            recorder.relay(open);
            open.close();
        }
    }

    @Override
    void command(QemuCommand command) {
        if (command != QemuCommand.CONTINUE_GATE && command != QemuCommand.STOP) {
            note("QEMU: " + MoveWords.word(command));
        }
        try {
            execute(command);
        } catch (QmpException e) {
            found(new MoveEvent.CommandFailed(command, String.valueOf(e.getMessage())));
        } catch (QmpTimeoutException e) {
            // It may yet be carried out: what QEMU says next counts.
            note("QEMU has not answered to %s: %s".formatted(MoveWords.word(command), e.getMessage()));
            if (!e.sent()) {
                found(new MoveEvent.CommandFailed(command, String.valueOf(e.getMessage())));
            }
        } catch (QmpClosedException e) {
            note("QEMU's monitor: " + e.getMessage());
            found(new MoveEvent.CommandFailed(command, String.valueOf(e.getMessage())));
        } catch (IOException e) {
            found(new MoveEvent.CommandFailed(command, String.valueOf(e.getMessage())));
        }
        nextLookNanos = System.nanoTime();
    }

    private void execute(QemuCommand command) throws QmpException, IOException {
        if (command == QemuCommand.RESUME) {
            recoverAttempts++;
            resumedAtNanos = System.nanoTime();
        }
        if (rescue.isActive() && command == QemuCommand.RESUME) {
            MoveRelay open = relay;
            if (open == null) {
                throw new IOException("there is no session with the destination's daemon");
            }
            rescue.serve(open.path());
            return;
        }
        if (rescue.isActive() && command == QemuCommand.PAUSE) {
            closeRelay(); // What serves from the copy pauses then.
            return;
        }
        QemuGuest guest = qemu.guest();
        switch (command) {
            case SET_UP -> setUp(guest);
            case MIGRATE -> guest.migrate(relayUri());
            case RESUME -> guest.migrateResume(relayUri());
            case SWITCH_OVER -> guest.setParameters(Map.of("downtime-limit", policy.downtimeThatSwitches()));
            case CONTINUE_GATE -> guest.migrateContinue(QemuStatus.PRE_SWITCHOVER);
            case STOP -> guest.stop();
            case CONT -> guest.cont();
            case CANCEL -> guest.cancel();
            case START_POSTCOPY -> guest.startPostcopy();
            case PAUSE -> guest.migratePause();
            case RETIRE -> retire(guest);
            case START_INCOMING, RECOVER, KILL -> throw new IllegalStateException(command + " at a source");
        }
    }

    private String relayUri() throws IOException {
        MoveRelay open = relay;
        if (open == null) {
            throw new IOException("there is no session with the destination's daemon");
        }
        return "unix:" + open.path();
    }

    private void setUp(QemuGuest guest) throws QmpException, IOException {
        Map<String, Boolean> known = guest.capabilities();
        Map<String, Boolean> capabilities = new LinkedHashMap<>(job.order().capabilities());
        capabilities.put("events", true);
        capabilities.put("return-path", true);
        capabilities.put("pause-before-switchover", true);
        // What this QEMU does not know can only be left off: the preflight has refused the rest.
        capabilities.entrySet().removeIf(wanted -> !known.containsKey(wanted.getKey()) && !wanted.getValue());
        // late-block-activate is a favour to disks, not a condition.
        capabilities
                .entrySet()
                .removeIf(wanted ->
                        !known.containsKey(wanted.getKey()) && wanted.getKey().equals("late-block-activate"));
        Map<String, String> undo = new TreeMap<>();
        known.forEach((name, on) -> {
            if (capabilities.containsKey(name)) {
                undo.put(CAPABILITY_PREFIX + name, String.valueOf(on));
            }
        });
        JsonObject before = guest.parameters();
        Stream.concat(job.order().parametersForQemu().keySet().stream(), SourcePolicy.PARAMETERS.stream())
                .forEach(name -> before.number(name)
                        .ifPresent(value -> undo.put(PARAMETER_PREFIX + name, Long.toString(value))));
        services.store().step(id(), "settings", undo);
        var _ = guest.setCapabilities(capabilities);
        var _ = guest.setParameters(job.order().parametersForQemu());
    }

    private void retire(QemuGuest guest) throws QmpException, IOException {
        if (job.settings().keepSource()) {
            note("the stopped QEMU stays, as asked");
            return;
        }
        guest.quit();
    }

    /** The guest stays here: it gets back the settings that it had. */
    private void putSettingsBack() {
        services.store().step(id(), "settings").ifPresent(undo -> {
            Map<String, Boolean> capabilities = new TreeMap<>();
            Map<String, Long> parameters = new TreeMap<>();
            undo.forEach((key, value) -> {
                if (key.startsWith(CAPABILITY_PREFIX)) {
                    capabilities.put(key.substring(CAPABILITY_PREFIX.length()), Boolean.parseBoolean(value));
                } else if (key.startsWith(PARAMETER_PREFIX)) {
                    parameters.put(key.substring(PARAMETER_PREFIX.length()), Long.parseLong(value));
                }
            });
            try {
                var _ = qemu.guest().setCapabilities(capabilities);
                var _ = qemu.guest().setParameters(parameters);
                services.store().undone(id(), "settings");
            } catch (QmpException | IOException e) {
                note("QEMU keeps the move's settings: " + e.getMessage());
            }
        });
    }

    @Override
    void note(String text) {
        recorder.note(text);
    }

    @Override
    long timerMillis(Timer timer) {
        return switch (timer) {
            case RETRY -> RETRY_MILLIS;
            case STUCK -> STUCK_MILLIS;
        };
    }

    @Override
    void finish(Outcome how) {
        if (isRetried(how)) {
            try {
                services.store().step(id(), MoveStore.RETRY, Map.of());
            } catch (IOException e) {
                log.atError().addKeyValue("move", id()).setCause(e).log("a restarted daemon will not try it again");
            }
        }
        closeRelay();
        if ((how == Outcome.FAILED_AT_SOURCE || how == Outcome.CANCELLED) && !rescuing.hasReplaced()) {
            putSettingsBack();
        }
        if (how != Outcome.LOST && how != Outcome.UNSURE) {
            rescuing.discard();
        }
        message = rescuing.hasReplaced()
                ? MoveWords.replacedSentence(job)
                : MoveWords.sourceSentence(job, how, recorder.lastReason());
        outcome = Optional.of(how);
        try {
            services.store().ended(id());
        } catch (IOException e) {
            log.atError().addKeyValue("move", id()).setCause(e).log("the end of the move is not in the journal");
        }
    }

    @Override
    void ended(boolean brokenOff) {
        closeRelay();
        rescuing.close();
        qemu.close();
        services.sourceEnded(this, brokenOff);
    }

    /** Whether a move that has ended so is to be tried again. */
    boolean isRetried(Outcome how) {
        return how == Outcome.FAILED_AT_SOURCE
                && job.attempt() <= job.settings().retries();
    }

    MovePlan plan() {
        return state().plan();
    }

    /** For a rescue: the sockets of this host that both QEMUs' recovery would use. */
    Duration age() {
        return Duration.ofMillis(System.currentTimeMillis() - job.startedAtMillis());
    }
}
