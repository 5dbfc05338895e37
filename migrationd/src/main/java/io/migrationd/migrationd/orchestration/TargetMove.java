package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.QemuCommand;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.Step;
import io.migrationd.migrationd.move.TargetMachine;
import io.migrationd.migrationd.move.TargetPhase;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.move.Timer;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.peer.PeerWordCodec;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpTimeoutException;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The destination's end of a move. Its thread {@code mig-move-…} alone writes what is not said to be for all. */
final class TargetMove extends MoveLoop<TargetState> {
    private static final Logger log = LoggerFactory.getLogger(TargetMove.class);
    private static final long LOOK_MILLIS = 100;
    private static final long QUICK_LOOK_MILLIS = 10;
    private static final long RETRY_MILLIS = 500;
    private static final long STUCK_MILLIS = 10_000;

    private final TargetJob job;
    private final MoveServices services;
    private final MoveRecorder recorder;

    private @Nullable IncomingProcess process;
    private @Nullable QemuHandle qemu;
    private @Nullable MoveRelay relay;
    private @Nullable PeerSession session;
    private Path path = Path.of("");
    private int attempt;
    private int listens;
    private long nextLookNanos = System.nanoTime();
    private boolean goneTold;
    /** {@code cont} is to be sent as soon as QEMU answers and does not run. */
    private boolean contIsLate;

    private volatile Optional<QemuMigration> seen = Optional.empty();
    private volatile Optional<Outcome> outcome = Optional.empty();
    private volatile String peer = "?";

    TargetMove(TargetJob job, TargetState initial, MoveServices services) {
        super("mig-move-" + job.guest(), job.id(), initial);
        this.job = job;
        this.services = services;
        this.recorder = new MoveRecorder(job.id(), services.store(), services.host());
    }

    TargetJob job() {
        return job;
    }

    Optional<Outcome> outcome() {
        return outcome;
    }

    Optional<QemuMigration> seen() {
        return seen;
    }

    MoveRecorder recorder() {
        return recorder;
    }

    String peer() {
        return peer;
    }

    /** A new daemon's: finds the QEMU that an earlier one has started. Before {@link #start}. */
    void findProcess() {
        services.store().step(id(), "incoming").ifPresent(record -> {
            try {
                adopt(services.starter().find(record), true);
            } catch (IOException e) {
                note("the QEMU of an earlier daemon is not found: " + e.getMessage());
            }
        });
    }

    /** A message of the source over {@code from}; false if the move is over and cannot answer. Any thread. */
    boolean heard(PeerSession from, PeerWord.OfMove word) {
        return offerTask(() -> {
            if (isOther(from)) {
                boolean first = session == null && state().phase() == TargetPhase.NONE;
                session = from;
                peer = from.peerHost();
                if (!first) {
                    offerNow(new MoveEvent.SessionReset());
                }
            }
            if (word.message() instanceof PeerMessage.Prepare || word.message() instanceof PeerMessage.Recover) {
                attempt = word.attempt();
            }
            offerNow(new MoveEvent.FromPeer(word.message()));
        });
    }

    /** A session is itself only. */
    @SuppressWarnings("ReferenceEquality")
    private boolean isOther(PeerSession from) {
        return session != from;
    }

    private void offerNow(MoveEvent event) {
        found(event);
    }

    private void adopt(IncomingProcess found, boolean earlier) {
        process = found;
        qemu = new QemuHandle(
                job.guest(),
                found.qmp(),
                found::isDead,
                this::qemuEvent,
                this::stirred,
                job.order().postcopy() ? Optional.of(new QemuHandle.Keeping(found.pid(), earlier)) : Optional.empty());
    }

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
        TargetPhase phase = state().phase();
        // Not LOADED: the grant comes next, and must not find this thread asking QEMU; what QEMU has to say is an
        // event.
        boolean quick = phase == TargetPhase.GRANTED || phase == TargetPhase.STARTING;
        nextLookNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(quick ? QUICK_LOOK_MILLIS : LOOK_MILLIS);
        QemuHandle asked = qemu;
        if (phase == TargetPhase.NONE || phase == TargetPhase.PREPARING || phase == TargetPhase.ENDED) {
            return;
        }
        if (asked == null) {
            // Nothing was found of what the journal says was started.
            tellGone("its process was never found");
            return;
        }
        switch (asked.look()) {
            case QemuHandle.Look.Said said -> {
                seen = Optional.of(said.migration());
                recorder.counters(said.migration());
                if (contIsLate && phase == TargetPhase.STARTING && !said.fact().isRunning()) {
                    command(QemuCommand.CONT);
                    return;
                }
                if (isNews(state().fact(), said.fact())) {
                    found(new MoveEvent.Qemu(said.fact()));
                }
            }
            case QemuHandle.Look.Gone gone -> tellGone(gone.why());
            case QemuHandle.Look.Busy busy -> {
                log.atDebug()
                        .addKeyValue("move", id())
                        .addKeyValue("why", busy.why())
                        .log("QEMU does not answer now");
                if (phase.areEventsFacts() && asked.announced().isPostcopy()) {
                    announcedByOneThatHangs(asked.announced());
                }
            }
        }
        MoveRelay open = relay;
        if (open != null) {
            open.broken().ifPresent(why -> recorder.once("relay broken", why));
        }
    }

    /** Its main loop may wait for a page that comes only when it is recovered. */
    private void announcedByOneThatHangs(QemuStatus status) {
        QemuFact fact = new QemuFact(status, state().fact().vcpus());
        if (isNews(state().fact(), fact)) {
            note("QEMU does not answer; it is %s by its event".formatted(status.qmpName()));
            found(new MoveEvent.Qemu(fact));
        }
    }

    private void tellGone(String why) {
        if (!goneTold) {
            goneTold = true;
            note("QEMU is gone: " + why);
            found(new MoveEvent.QemuGone());
        }
    }

    // ---- what the machine wants ----

    @Override
    Step<TargetState> step(TargetState before, MoveEvent event) {
        return TargetMachine.step(before, event);
    }

    @Override
    void stepped(TargetState before, MoveEvent event, TargetState next) {
        if (before.phase() == next.phase()) {
            return;
        }
        recorder.phase(next.phase().name());
        if (next.phase() != TargetPhase.LOADED) {
            nextLookNanos = System.nanoTime();
        }
    }

    @Override
    void announced(TargetState before, MoveEvent event, TargetState next) {
        if (before.phase() == next.phase()) {
            return;
        }
        services.announce(() -> {
            log.atInfo()
                    .addKeyValue("move", id())
                    .addKeyValue("guest", job.guest())
                    .addKeyValue("from", before.phase())
                    .addKeyValue("to", next.phase())
                    .addKeyValue("event", event)
                    .log("move: phase changed");
            services.events()
                    .event(
                            job.guest(),
                            "MOVE_PHASE",
                            Map.of("phase", MoveWords.word(next.phase()), "role", "destination"));
        });
    }

    @Override
    void write(TargetState next, MoveAction.Write write) throws IOException {
        QemuHandle connected = qemu;
        if (connected != null && next.phase().isLast()) {
            // Before the journal forgets the move: no later daemon would look for a connection that is still kept.
            connected.giveUp();
        }
        services.store().write(job, next, write.ownership(), write.epoch());
    }

    @Override
    void perform(MoveAction action) {
        switch (action) {
            case MoveAction.Send(PeerMessage said) -> send(said);
            case MoveAction.OpenRelay _ -> openRelay();
            case MoveAction.CloseRelay _ -> closeRelay();
            case MoveAction.Refuse(String why) -> note("refused: " + why);
            case MoveAction.CheckGate _ -> throw new IllegalStateException("a gate at a target");
            case MoveAction.Write _, MoveAction.Command _, MoveAction.Arm _, MoveAction.Note _, MoveAction.Finish _ ->
                throw new AssertionError("done by the loop: " + action);
        }
    }

    private void send(PeerMessage said) {
        PeerSession to = session;
        if (to == null) {
            return;
        }
        Optional<com.fasterxml.jackson.databind.JsonNode> timeline =
                said instanceof PeerMessage.Finished ? Optional.of(recorder.timelineJson()) : Optional.empty();
        try {
            to.send(PeerWordCodec.encode(new PeerWord.OfMove(id(), said, attempt, Optional.empty(), timeline)));
        } catch (IOException e) {
            log.atWarn().addKeyValue("move", id()).setCause(e).log("message not sent: the source will ask");
        }
    }

    private void openRelay() {
        closeRelay();
        PeerSession over = session;
        if (over == null) {
            note("no session: the byte path is not opened");
            return;
        }
        try {
            relay = services.relays().target(over, id(), attempt, job.order(), path);
        } catch (IOException e) {
            note("the byte path can't be opened: " + e.getMessage());
            log.atError().addKeyValue("move", id()).setCause(e).log("relay not opened");
        }
    }

    private void closeRelay() {
        MoveRelay open = relay;
        relay = null;
        if (open != null) {
            recorder.relay(open);
            open.close();
        }
    }

    @Override
    void command(QemuCommand command) {
        note("QEMU: " + MoveWords.word(command));
        try {
            switch (command) {
                case START_INCOMING -> startIncoming();
                case RECOVER -> recover();
                case PAUSE -> connected().migratePause();
                case CONT -> cont();
                case KILL -> kill();
                case SET_UP, MIGRATE, SWITCH_OVER, CONTINUE_GATE, STOP, CANCEL, START_POSTCOPY, RESUME, RETIRE ->
                    throw new IllegalStateException(command + " at a target");
            }
        } catch (QmpTimeoutException e) {
            note("QEMU has not answered to %s: %s".formatted(MoveWords.word(command), e.getMessage()));
            if (!e.sent() || command == QemuCommand.RECOVER) {
                failed(command, e);
            }
        } catch (QmpException | IOException e) {
            failed(command, e);
        }
        nextLookNanos = System.nanoTime();
    }

    /** One that hangs carries it out when it hangs no more; until then this thread is needed for its recovery. */
    private void cont() throws QmpException, IOException {
        contIsLate = true;
        QemuGuest guest = connected();
        if (guest.hangs()) {
            return;
        }
        try {
            guest.cont();
            contIsLate = false;
        } catch (QmpException e) {
            contIsLate = false; // Refused: the machine tries again.
            throw e;
        }
    }

    private void failed(QemuCommand command, Exception e) {
        log.atWarn()
                .addKeyValue("move", id())
                .addKeyValue("command", command)
                .setCause(e)
                .log("QEMU refused");
        found(
                command == QemuCommand.START_INCOMING
                        ? new MoveEvent.PrepareFailed(String.valueOf(e.getMessage()))
                        : new MoveEvent.CommandFailed(command, String.valueOf(e.getMessage())));
    }

    private QemuGuest connected() throws QmpException, QmpConnectionException, IOException {
        QemuHandle handle = qemu;
        if (handle == null) {
            throw new IOException("there is no QEMU");
        }
        return handle.guest();
    }

    private void startIncoming() throws QmpException, IOException {
        IncomingProcess started = services.starter().start(job);
        services.store().step(id(), "incoming", started.record());
        adopt(started, false);
        QemuGuest guest = connected();
        Map<String, Boolean> known = guest.capabilities();
        Map<String, Boolean> capabilities = new LinkedHashMap<>(job.order().capabilities());
        capabilities
                .entrySet()
                .removeIf(wanted -> !known.containsKey(wanted.getKey())
                        && (!wanted.getValue() || wanted.getKey().equals("late-block-activate")));
        capabilities.put("events", true);
        var _ = guest.setCapabilities(capabilities);
        var _ = guest.setParameters(job.order().parametersForQemu());
        path = newPath();
        guest.migrateIncoming("unix:" + path);
        found(new MoveEvent.Prepared());
    }

    private void recover() throws QmpException, IOException {
        path = newPath();
        connected().migrateRecover("unix:" + path);
        found(new MoveEvent.RecoverListening());
    }

    private Path newPath() {
        listens++;
        return services.relays()
                .socketPath(id(), "t" + listens + "-" + Long.toString(System.nanoTime() & 0xffffff, 36));
    }

    private void kill() throws IOException {
        closeRelay();
        IncomingProcess running = process;
        if (running != null) {
            QemuHandle connected = qemu;
            if (connected != null) {
                // A QEMU serves one client: it may have to be told to quit.
                connected.close();
            }
            running.kill();
            services.store().undone(id(), "incoming");
        }
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
        closeRelay();
        outcome = Optional.of(how);
        try {
            if (how == Outcome.MOVED) {
                // The guest's own from now on: a later daemon must not take it for a leftover.
                services.store().undone(id(), "incoming");
            }
            services.store().ended(id());
        } catch (IOException e) {
            log.atError().addKeyValue("move", id()).setCause(e).log("the end of the move is not in the journal");
        }
    }

    @Override
    void late(MoveEvent event) {
        if (!(event instanceof MoveEvent.FromPeer)) {
            return;
        }
        try {
            for (MoveAction action : TargetMachine.step(state(), event).actions()) {
                if (action instanceof MoveAction.Send(PeerMessage said)) {
                    send(said);
                }
            }
        } catch (IllegalTransitionException e) {
            log.atError().addKeyValue("move", id()).setCause(e).log("the peer said what it may not say now; ignored");
        }
    }

    @Override
    void ended(boolean brokenOff) {
        closeRelay();
        QemuHandle handle = qemu;
        if (handle != null) {
            handle.close();
        }
        services.targetEnded(this, brokenOff);
    }
}
