package io.migrationd.migrationd.move;

import io.migrationd.migrationd.move.MoveAction.Arm;
import io.migrationd.migrationd.move.MoveAction.CheckGate;
import io.migrationd.migrationd.move.MoveAction.CloseRelay;
import io.migrationd.migrationd.move.MoveAction.Command;
import io.migrationd.migrationd.move.MoveAction.Finish;
import io.migrationd.migrationd.move.MoveAction.Note;
import io.migrationd.migrationd.move.MoveAction.OpenRelay;
import io.migrationd.migrationd.move.MoveAction.Refuse;
import io.migrationd.migrationd.move.MoveAction.Send;
import io.migrationd.migrationd.move.MoveAction.Write;
import io.migrationd.migrationd.move.SourceState.Heard;
import io.migrationd.migrationd.move.SourceState.Recovery;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.ArrayList;
import java.util.List;

/**
 * What the source's daemon does about a move: a pure function. Events first become knowledge (what QEMU said, what the
 * target said), then the rule of the phase looks at all that is known; so it doesn't matter in which order a restarted
 * daemon learns things. One instance lives for one step.
 */
public final class SourceMachine {
    private static final String MACHINE = "source of a move";

    private final SourceState before;
    private final MoveEvent event;
    private final List<MoveAction> actions = new ArrayList<>();
    private SourceState now;

    private SourceMachine(SourceState state, MoveEvent event) {
        this.before = state;
        this.now = state;
        this.event = event;
    }

    /**
     * What follows from an event.
     *
     * @throws IllegalTransitionException if it can't happen in this state: the peer's fault if it is a message of the
     *     peer, else ours
     */
    public static Step<SourceState> step(SourceState state, MoveEvent event) {
        SourceMachine machine = new SourceMachine(state, event);
        machine.learn();
        return new Step<>(machine.now, machine.actions);
    }

    private void learn() {
        switch (event) {
            case MoveEvent.Start _ -> start();
            case MoveEvent.FromPeer(PeerMessage message) -> hear(message);
            case MoveEvent.SessionReset _ -> sessionReset();
            case MoveEvent.Qemu(QemuFact fact) -> qemuSaid(fact);
            case MoveEvent.QemuGone _ -> {
                now = now.withGone();
                if (asksWhatTheTargetHas()) {
                    send(new PeerMessage.SourceLost());
                }
                goOn();
            }
            case MoveEvent.CommandFailed(QemuCommand command, String why) -> commandFailed(command, why);
            case MoveEvent.GateChecked(boolean open, String why) -> gateChecked(open, why);
            case MoveEvent.SwitchOver _ -> {
                if (now.phase() == SourcePhase.MOVING) {
                    command(QemuCommand.SWITCH_OVER);
                }
            }
            case MoveEvent.StartPostcopy _ -> startPostcopy();
            case MoveEvent.Cancel(String why) -> cancel(why);
            case MoveEvent.Pause _ -> pause();
            case MoveEvent.Resume _ -> resume();
            case MoveEvent.TimerFired(Timer timer) -> timer(timer);
            case MoveEvent.Restarted _ -> restarted();
            case MoveEvent.Rescued _ -> rescued();
            case MoveEvent.Replaced _ -> replaced();
            case MoveEvent.Reclaim _ -> reclaim();
            case MoveEvent.Prepared _, MoveEvent.PrepareFailed _, MoveEvent.RecoverListening _ -> throw illegal();
        }
    }

    /** Our QEMU is gone: whether the guest is whole at the target, only the target can say. */
    private boolean asksWhatTheTargetHas() {
        return switch (now.phase()) {
            case FINISHING, PACKAGING, PAGING, RECOVERING -> true;
            case STRANDED -> now.isReleased();
            case NEW, PREPARING, MOVING, STOPPING, SWITCHING, GATE, RELEASED, CLOSING, RETURNING, ABORTING, ENDED ->
                false;
        };
    }

    // What the phases do with what is known.

    private void goOn() {
        switch (now.phase()) {
            case NEW, ENDED -> {}
            case PREPARING -> {
                if (now.gone()) {
                    abort(Outcome.LOST, "QEMU died");
                }
            }
            case MOVING, STOPPING, SWITCHING, GATE -> beforeTheGate();
            case FINISHING -> finishing();
            case PACKAGING -> packaging();
            case RELEASED -> released();
            case PAGING, RECOVERING -> paging();
            case CLOSING -> {
                if (now.heard() == Heard.LOST) {
                    end(Outcome.LOST);
                }
            }
            case RETURNING -> returning();
            case ABORTING -> aborting();
            case STRANDED -> stranded();
        }
    }

    private void beforeTheGate() {
        if (now.gone()) {
            abort(Outcome.LOST, "QEMU died");
        } else if (now.heard() == Heard.DECLINED) {
            abort(Outcome.FAILED_AT_SOURCE, "the target has declined");
            command(QemuCommand.CANCEL);
        } else {
            switch (now.fact().status()) {
                // Cancelled by somebody else, or broken: the guest runs on here by itself.
                case FAILED, CANCELLED -> abort(Outcome.FAILED_AT_SOURCE, "QEMU has failed");
                case PRE_SWITCHOVER -> {
                    if (now.phase() != SourcePhase.GATE) {
                        move(SourcePhase.GATE);
                        actions.add(new CheckGate());
                    }
                }
                case ACTIVE -> {
                    // Only now: a stop at the gate wouldn't keep QEMU from resuming.
                    if (now.phase() == SourcePhase.STOPPING && now.fact().isStopped()) {
                        move(SourcePhase.SWITCHING);
                        write();
                        command(QemuCommand.START_POSTCOPY);
                    }
                }
                case DEVICE,
                        POSTCOPY_DEVICE,
                        POSTCOPY_ACTIVE,
                        POSTCOPY_PAUSED,
                        POSTCOPY_RECOVER_SETUP,
                        POSTCOPY_RECOVER,
                        COMPLETED -> {
                    note("somebody else has passed the gate");
                    move(SourcePhase.FINISHING);
                    now = now.withPathBroken();
                    write();
                    finishing();
                }
                case UNKNOWN, NONE, SETUP, FAILING, CANCELLING -> {}
            }
        }
    }

    private void finishing() {
        if (now.gone()) {
            goneBeforeRelease();
            return;
        }
        switch (now.fact().status()) {
            case COMPLETED -> {
                if (now.heard() == Heard.DECLINED) {
                    takeBack();
                } else {
                    release();
                }
            }
            case FAILED, CANCELLED -> abort(Outcome.FAILED_AT_SOURCE, "QEMU has failed");
            case POSTCOPY_ACTIVE, POSTCOPY_PAUSED, POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER -> {
                move(SourcePhase.PACKAGING);
                write();
                packaging();
            }
            case PRE_SWITCHOVER -> {
                // Only a restarted daemon sees this: migrate-continue was never carried out, and our relays are gone.
                if (before.fact().status() == QemuStatus.UNKNOWN) {
                    abort(Outcome.FAILED_AT_SOURCE, "restarted at the gate");
                    command(QemuCommand.CANCEL);
                }
            }
            case UNKNOWN, NONE, SETUP, ACTIVE, DEVICE, POSTCOPY_DEVICE, FAILING, CANCELLING -> {}
        }
    }

    private void packaging() {
        if (now.gone()) {
            goneBeforeRelease();
        } else if (now.heard() == Heard.DECLINED) {
            takeBack();
        } else if (now.fact().status() == QemuStatus.FAILED) {
            abort(Outcome.FAILED_AT_SOURCE, "QEMU has failed");
        } else if (now.fact().status() == QemuStatus.COMPLETED
                || (now.fact().status().isPostcopy() && now.heard() == Heard.LOADED)) {
            release();
        }
    }

    /** It was stopped when it died; the only question is whether the target has all of it. */
    private void goneBeforeRelease() {
        if (now.heard() == Heard.DECLINED) {
            abort(Outcome.LOST, "both QEMUs died");
        } else if (now.complete() && now.phase() == SourcePhase.FINISHING && now.pathBroken()) {
            // It may have failed, resumed and died unseen: the target's copy may be an old one.
            now = now.with(Outcome.UNSURE);
            end(Outcome.UNSURE);
        } else if (now.complete()) {
            release();
        } else if (now.targetPaused()) {
            abort(Outcome.LOST, "QEMU died and pages are missing at the target");
        }
    }

    private void released() {
        switch (now.heard()) {
            case LOST -> end(Outcome.UNSURE);
            case DECLINED -> takeBack();
            case STARTING, STARTED -> {
                if (!now.complete()) {
                    move(SourcePhase.PAGING);
                    if (now.gone()) {
                        send(new PeerMessage.SourceLost());
                    }
                    paging();
                    write();
                } else if (now.heard() == Heard.STARTED) {
                    close();
                }
            }
            case NOTHING, LOADED -> askIfCutOff();
        }
    }

    /** What the target misses does not come any more: it may hang at it, and never say that it has started. */
    private void askIfCutOff() {
        if (isCutOff(now) && !(before.phase() == SourcePhase.RELEASED && isCutOff(before))) {
            send(new PeerMessage.Sync(now.phase()));
        }
    }

    private static boolean isCutOff(SourceState state) {
        QemuStatus status = state.fact().status();
        boolean sendsNoMore = state.gone() || status == QemuStatus.POSTCOPY_PAUSED || status == QemuStatus.FAILED;
        return !state.complete() && (sendsNoMore || state.targetPaused());
    }

    private void paging() {
        if (now.heard() == Heard.LOST) {
            end(lostAtTheTarget());
        } else if (now.complete()) {
            if (now.heard() == Heard.STARTED) {
                close();
            }
        } else if (!now.gone()) {
            switch (now.fact().status()) {
                case POSTCOPY_PAUSED -> paused();
                case POSTCOPY_ACTIVE -> active();
                // QEMU had sent everything and then lost the connection: it won't send again.
                case FAILED -> {
                    if (now.targetPaused()) {
                        strand();
                    } else if (before.fact().status() != QemuStatus.FAILED) {
                        // The target may have said that it is paused before a recovery that it never noticed.
                        actions.add(new CloseRelay());
                        actions.add(new Arm(Timer.STUCK));
                    }
                }
                case POSTCOPY_RECOVER -> inHandshake();
                case UNKNOWN,
                        NONE,
                        SETUP,
                        ACTIVE,
                        PRE_SWITCHOVER,
                        DEVICE,
                        POSTCOPY_DEVICE,
                        POSTCOPY_RECOVER_SETUP,
                        COMPLETED,
                        FAILING,
                        CANCELLING,
                        CANCELLED -> {}
            }
        }
    }

    /** What never said that it runs may not have run: then it is whole here. */
    private Outcome lostAtTheTarget() {
        return before.heard() == Heard.STARTED ? Outcome.LOST : Outcome.UNSURE;
    }

    /** 7.2 waits in the handshake for ever when its connection closes. */
    private void inHandshake() {
        boolean newlyPaused = now.targetPaused() && !before.targetPaused();
        if (newlyPaused || before.fact().status() == QemuStatus.UNKNOWN) {
            if (newlyPaused) {
                actions.add(new CloseRelay());
            }
            actions.add(new Arm(Timer.STUCK));
        }
    }

    private void paused() {
        if (now.held()) {
            return;
        }
        if (now.phase() == SourcePhase.PAGING) {
            move(SourcePhase.RECOVERING);
            askToRecover();
        } else if (before.fact().status() != QemuStatus.POSTCOPY_PAUSED) {
            if (now.recovery() == Recovery.RESUMING) {
                now = now.with(Recovery.IDLE);
                actions.add(new Arm(Timer.RETRY));
            } else if (now.recovery() == Recovery.IDLE) {
                askToRecover();
            }
        }
    }

    private void active() {
        boolean news = before.fact().status() != QemuStatus.POSTCOPY_ACTIVE;
        if (now.phase() == SourcePhase.RECOVERING) {
            if (!news) {
                return;
            }
            move(SourcePhase.PAGING);
            now = now.with(Recovery.IDLE);
            note(now.targetPaused() ? "recovered, but the target is paused" : "recovered");
        }
        boolean restarted = before.fact().status() == QemuStatus.UNKNOWN;
        if (now.targetPaused() && (!before.targetPaused() || before.phase() != now.phase() || restarted)) {
            // It hasn't noticed (10.0: only the way back broke), and would send into nowhere and then resume.
            actions.add(new CloseRelay());
            command(QemuCommand.PAUSE);
            actions.add(new Arm(Timer.STUCK));
        }
    }

    private void askToRecover() {
        now = now.with(Recovery.ASKED);
        send(new PeerMessage.Recover());
    }

    private void returning() {
        if (now.gone()) {
            end(Outcome.LOST);
        } else if (now.isBackAtTheSource()) {
            end(now.outcome() == null ? Outcome.FAILED_AT_SOURCE : now.outcome());
        } else if (now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
            strand();
        } else {
            if (before.fact().status() == QemuStatus.UNKNOWN
                    && now.fact().status().isPostcopy()) {
                actions.add(new Arm(Timer.STUCK)); // The old daemon's timer died with it.
            }
            contIfItStandsStill();
        }
    }

    private void aborting() {
        boolean declined = now.heard() == Heard.DECLINED;
        if (now.gone()) {
            now = now.with(Outcome.LOST);
        }
        if (declined && (now.gone() || now.isBackAtTheSource())) {
            end(now.outcome() == null ? Outcome.FAILED_AT_SOURCE : now.outcome());
        } else if (declined && now.fact().status().isPostcopy()) {
            takeBack();
        } else if (!now.gone()) {
            boolean news = before.fact().status() != now.fact().status();
            if (news && now.fact().status().isBeforeTheGate()) {
                command(QemuCommand.CANCEL);
            }
            contIfItStandsStill();
        }
    }

    /** QEMU resumes by itself only what ran at the switchover; we may have stopped it before, or it has completed. */
    private void contIfItStandsStill() {
        boolean news = !before.fact().equals(now.fact()) || before.phase() != now.phase();
        QemuStatus status = now.fact().status();
        if (news
                && now.plan().guestRuns()
                && now.fact().isStopped()
                && (status.isOver() || status == QemuStatus.COMPLETED)) {
            command(QemuCommand.CONT);
        }
    }

    private void stranded() {
        if (now.heard() == Heard.LOST && now.isReleased()) {
            end(lostAtTheTarget());
        } else if (now.heard() == Heard.LOST || (now.gone() && !now.isReleased())) {
            end(Outcome.LOST);
        } else if (now.isReleased() && now.complete() && now.heard() == Heard.STARTED) {
            close();
        } // Gone and released: the target is asked, and says that it has all of it or that it is lost.
    }

    // Events.

    private void start() {
        if (now.phase() != SourcePhase.NEW) {
            throw illegal();
        }
        move(SourcePhase.PREPARING);
        write();
        send(new PeerMessage.Prepare(now.plan()));
    }

    private void qemuSaid(QemuFact fact) {
        now = now.with(fact);
        boolean mine = now.phase() != SourcePhase.NEW
                && now.phase() != SourcePhase.PREPARING
                && now.phase() != SourcePhase.ABORTING
                && now.phase() != SourcePhase.STRANDED
                && now.phase() != SourcePhase.ENDED;
        if (mine && fact.status() == QemuStatus.COMPLETED) {
            now = now.withComplete();
        }
        goOn();
    }

    private void gateChecked(boolean open, String why) {
        if (now.phase() != SourcePhase.GATE) {
            return; // It was given up meanwhile.
        }
        if (open) {
            move(SourcePhase.FINISHING);
            write();
            command(QemuCommand.CONTINUE_GATE);
        } else {
            abort(Outcome.FAILED_AT_SOURCE, why);
            command(QemuCommand.CANCEL);
        }
    }

    private void startPostcopy() {
        if (now.phase() != SourcePhase.MOVING) {
            refuse("the move is " + now.phase());
        } else if (now.plan().mode() != MovePlan.Mode.POSTCOPY) {
            refuse("the move was started without postcopy");
        } else {
            move(SourcePhase.STOPPING);
            write();
            command(QemuCommand.STOP);
        }
    }

    private void cancel(String why) {
        switch (now.phase()) {
            case PREPARING -> abort(Outcome.CANCELLED, why);
            case MOVING, STOPPING, SWITCHING, GATE -> {
                abort(Outcome.CANCELLED, why);
                command(QemuCommand.CANCEL);
            }
            case ABORTING -> {}
            case FINISHING, PACKAGING, RELEASED, PAGING, RECOVERING, CLOSING, RETURNING, STRANDED, ENDED, NEW ->
                refuse("the move is " + now.phase());
        }
    }

    private void pause() {
        if (now.phase() == SourcePhase.PAGING) {
            now = now.withHeld(true);
            if (now.fact().status() == QemuStatus.POSTCOPY_ACTIVE) {
                command(QemuCommand.PAUSE);
            }
        } else if (now.phase() == SourcePhase.RECOVERING) {
            now = now.withHeld(true);
        } else {
            refuse("the move is " + now.phase());
        }
    }

    private void resume() {
        if (now.phase() == SourcePhase.PAGING || now.phase() == SourcePhase.RECOVERING) {
            now = now.withHeld(false);
            if (now.phase() == SourcePhase.RECOVERING
                    && now.recovery() == Recovery.IDLE
                    && now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
                askToRecover();
            } else {
                goOn();
            }
        } else {
            refuse("the move is " + now.phase());
        }
    }

    private void timer(Timer timer) {
        QemuStatus status = now.fact().status();
        switch (timer) {
            case RETRY -> {
                boolean idle = now.phase() == SourcePhase.RECOVERING && now.recovery() == Recovery.IDLE;
                if (idle && status == QemuStatus.POSTCOPY_PAUSED && !now.held() && !now.gone()) {
                    askToRecover();
                } else if ((now.phase() == SourcePhase.ABORTING || now.phase() == SourcePhase.RETURNING)
                        && !now.gone()
                        && now.plan().guestRuns()
                        && now.fact().isStopped()
                        && (status.isOver() || status == QemuStatus.COMPLETED)) {
                    command(QemuCommand.CONT);
                }
            }
            case STUCK -> {
                boolean hangs = status == QemuStatus.POSTCOPY_ACTIVE || status == QemuStatus.POSTCOPY_RECOVER;
                boolean inPaging = now.phase() == SourcePhase.PAGING || now.phase() == SourcePhase.RECOVERING;
                boolean waitsForIt = now.phase() == SourcePhase.RETURNING || (inPaging && now.targetPaused());
                if (now.gone()) {
                    return;
                }
                if (hangs && waitsForIt) {
                    strand();
                } else if (inPaging && (hangs || status == QemuStatus.FAILED)) {
                    send(new PeerMessage.Sync(now.phase())); // Is the target paused?
                }
            }
        }
    }

    private void commandFailed(QemuCommand command, String why) {
        note(command + " failed: " + why);
        switch (now.phase()) {
            case MOVING, STOPPING, SWITCHING, GATE -> {
                if (command != QemuCommand.SWITCH_OVER) {
                    abort(Outcome.FAILED_AT_SOURCE, command + " failed: " + why);
                    command(QemuCommand.CANCEL);
                }
            }
            case FINISHING -> {
                if (command == QemuCommand.CONTINUE_GATE) {
                    abort(Outcome.FAILED_AT_SOURCE, command + " failed: " + why);
                    command(QemuCommand.CANCEL);
                }
            }
            case RECOVERING -> {
                if (command == QemuCommand.RESUME) {
                    now = now.with(Recovery.IDLE);
                    actions.add(new CloseRelay());
                    actions.add(new Arm(Timer.RETRY));
                }
            }
            case ABORTING, RETURNING -> {
                if (command == QemuCommand.CONT) {
                    actions.add(new Arm(Timer.RETRY));
                }
            }
            case NEW, PREPARING, PACKAGING, RELEASED, PAGING, CLOSING, STRANDED, ENDED -> {}
        }
    }

    private void restarted() {
        now = now.with(QemuFact.UNKNOWN).with(Recovery.IDLE).withTargetPaused(false);
        switch (now.phase()) {
            // The target may know nothing, and QEMU's connections are closed: it starts over, from the guest here.
            case PREPARING, MOVING, STOPPING, SWITCHING, GATE -> abort(Outcome.FAILED_AT_SOURCE, "restarted");
            case FINISHING -> now = now.withPathBroken();
            case NEW, PACKAGING, RELEASED, PAGING, RECOVERING, CLOSING, RETURNING, ABORTING, STRANDED, ENDED -> {}
        }
    }

    private void sessionReset() {
        switch (now.phase()) {
            case NEW, ENDED -> {}
            case PREPARING -> abort(Outcome.FAILED_AT_SOURCE, "the target's daemon was restarted");
            case MOVING, STOPPING, SWITCHING, GATE -> {
                actions.add(new CloseRelay());
                abort(Outcome.FAILED_AT_SOURCE, "the target's daemon was restarted");
                command(QemuCommand.CANCEL);
            }
            case ABORTING -> send(new PeerMessage.Abort("the move is given up"));
            case FINISHING, PACKAGING, RELEASED, PAGING, RECOVERING, CLOSING, RETURNING, STRANDED -> {
                actions.add(new CloseRelay());
                now = now.with(Recovery.IDLE);
                if (now.phase() == SourcePhase.FINISHING) {
                    now = now.withPathBroken();
                }
                send(new PeerMessage.Sync(now.phase()));
            }
        }
    }

    private void rescued() {
        if (now.phase() != SourcePhase.STRANDED) {
            throw illegal();
        }
        if (!now.isReleased()) {
            now = now.withEpoch(now.plan().grantEpoch());
        }
        end(Outcome.MOVED);
    }

    /** The right to run was here all the time, or is again since the target has declined. */
    private void replaced() {
        if (now.phase() != SourcePhase.STRANDED || now.isReleased() || now.heard() != Heard.DECLINED) {
            throw illegal();
        }
        note("started anew here");
        end(Outcome.FAILED_AT_SOURCE);
    }

    private void reclaim() {
        boolean open =
                now.phase() == SourcePhase.ENDED && (now.outcome() == Outcome.UNSURE || now.outcome() == Outcome.LOST);
        if (!open || now.gone()) {
            refuse("the guest can't be taken back: the move is " + now.phase() + ", " + now.outcome());
            return;
        }
        note("taken back by force");
        now = now.with(Outcome.FAILED_AT_SOURCE);
        takeBack();
    }

    // Messages.

    private void hear(PeerMessage message) {
        switch (message) {
            case PeerMessage.Ready _ -> ready();
            case PeerMessage.Refused(String why) -> refused(why);
            case PeerMessage.Aborted _ -> declined("aborted");
            case PeerMessage.Declined(String why) -> declined(why);
            case PeerMessage.Loaded(QemuStatus status) -> loaded(status);
            case PeerMessage.Started _ -> {
                needsRelease();
                heard(Heard.STARTED);
                if (before.heard() == Heard.STARTING) {
                    write();
                }
                goOn();
            }
            case PeerMessage.Paused _ -> {
                now = now.withTargetPaused(true);
                goOn();
            }
            case PeerMessage.RecoverReady _ -> recoverReady();
            case PeerMessage.RecoverFailed(String why) -> {
                needsRelease();
                note("the target can't recover now: " + why);
                if (now.recovery() == Recovery.ASKED) {
                    now = now.with(Recovery.IDLE);
                    actions.add(new Arm(Timer.RETRY));
                }
            }
            case PeerMessage.TargetLost _ -> {
                needsRelease();
                heard(Heard.LOST);
                goOn();
            }
            case PeerMessage.Finished _ -> finished();
            case PeerMessage.State(TargetPhase phase, QemuFact fact) -> targetStands(phase, fact);
            case PeerMessage.Unknown _ -> forgotten();
            case PeerMessage.Prepare _,
                    PeerMessage.Abort _,
                    PeerMessage.Grant _,
                    PeerMessage.Recover _,
                    PeerMessage.SourceLost _,
                    PeerMessage.Finish _,
                    PeerMessage.Sync _ -> throw illegal();
        }
    }

    private void ready() {
        switch (now.phase()) {
            case PREPARING -> {
                move(SourcePhase.MOVING);
                now = now.with(QemuFact.UNKNOWN);
                write();
                actions.add(new OpenRelay());
                command(QemuCommand.SET_UP);
                command(QemuCommand.MIGRATE);
            }
            case ABORTING, ENDED -> {} // Crossed the abort.
            case NEW,
                    MOVING,
                    STOPPING,
                    SWITCHING,
                    GATE,
                    FINISHING,
                    PACKAGING,
                    RELEASED,
                    PAGING,
                    RECOVERING,
                    CLOSING,
                    RETURNING,
                    STRANDED -> throw illegal();
        }
    }

    private void refused(String why) {
        note("refused: " + why);
        switch (now.phase()) {
            case PREPARING -> {
                heard(Heard.DECLINED);
                end(Outcome.FAILED_AT_SOURCE);
            }
            case ABORTING -> {
                heard(Heard.DECLINED);
                goOn();
            }
            case ENDED -> {}
            case NEW,
                    MOVING,
                    STOPPING,
                    SWITCHING,
                    GATE,
                    FINISHING,
                    PACKAGING,
                    RELEASED,
                    PAGING,
                    RECOVERING,
                    CLOSING,
                    RETURNING,
                    STRANDED -> throw illegal();
        }
    }

    private void declined(String why) {
        if (now.phase() == SourcePhase.NEW
                || now.phase() == SourcePhase.PREPARING
                || now.heard() == Heard.STARTING
                || now.heard() == Heard.STARTED) {
            throw illegal();
        }
        if (now.heard() == Heard.DECLINED || now.phase() == SourcePhase.ENDED) {
            return; // Said again to a grant that crossed it.
        }
        note("the target has declined: " + why);
        heard(Heard.DECLINED);
        if (now.phase() == SourcePhase.FINISHING) {
            // It would wait for a SHUT that means nothing any more.
            actions.add(new CloseRelay());
            now = now.withPathBroken();
        }
        goOn();
    }

    private void loaded(QemuStatus status) {
        if (now.phase() == SourcePhase.NEW || now.phase() == SourcePhase.PREPARING) {
            throw illegal();
        }
        heard(Heard.LOADED);
        if (status == QemuStatus.COMPLETED) {
            now = now.withComplete();
        }
        goOn();
    }

    private void recoverReady() {
        needsRelease();
        if (now.phase() != SourcePhase.RECOVERING || now.recovery() != Recovery.ASKED) {
            return; // Of an attempt that is over.
        }
        if (now.gone() || now.fact().status() != QemuStatus.POSTCOPY_PAUSED) {
            now = now.with(Recovery.IDLE);
            return;
        }
        // Forgotten, so that the next answer is news even if QEMU is still or again paused; so for the target.
        now = now.with(Recovery.RESUMING).with(QemuFact.UNKNOWN).withTargetPaused(false);
        actions.add(new OpenRelay());
        command(QemuCommand.RESUME);
    }

    private void finished() {
        switch (now.phase()) {
            case CLOSING -> end(Outcome.MOVED);
            case ENDED -> {}
            case NEW,
                    PREPARING,
                    MOVING,
                    STOPPING,
                    SWITCHING,
                    GATE,
                    FINISHING,
                    PACKAGING,
                    RELEASED,
                    PAGING,
                    RECOVERING,
                    RETURNING,
                    ABORTING,
                    STRANDED -> throw illegal();
        }
    }

    /**
     * The answer to SYNC: all that was lost with the old session. Said unasked by a target that is cut off as it
     * starts.
     */
    private void targetStands(TargetPhase phase, QemuFact fact) {
        SourcePhase asked = now.phase();
        now = now.withTargetPaused(fact.status() == QemuStatus.POSTCOPY_PAUSED);
        if (fact.status() == QemuStatus.COMPLETED && fact.isLoaded()) {
            now = now.withComplete();
        }
        switch (phase) {
            case NONE -> throw illegal(); // That would be UNKNOWN.
            case PREPARING, STANDBY -> {}
            case LOADED -> heard(Heard.LOADED);
            case GRANTED -> needsRelease();
            case STARTING -> {
                needsRelease();
                heard(Heard.STARTING);
            }
            case RUNNING, PAUSED, RECOVERING -> {
                needsRelease();
                heard(Heard.STARTED);
            }
            case COMPLETE -> {
                needsRelease();
                heard(Heard.STARTED);
                now = now.withComplete();
            }
            case DECLINED -> heard(Heard.DECLINED);
            case UNSURE -> {
                needsRelease();
                heard(Heard.LOST);
            }
            case ENDED -> {
                needsRelease();
                if (now.phase() == SourcePhase.CLOSING) {
                    finished();
                    return;
                }
                heard(Heard.LOST);
            }
        }
        goOn();
        if (now.phase() == asked) {
            sayAgain();
        }
    }

    private void sayAgain() {
        switch (now.phase()) {
            case RELEASED -> send(new PeerMessage.Grant(now.epoch()));
            case CLOSING -> send(new PeerMessage.Finish());
            case PAGING, RECOVERING -> {
                if (now.gone()) {
                    send(new PeerMessage.SourceLost());
                } else if (now.phase() == SourcePhase.RECOVERING
                        && now.recovery() == Recovery.IDLE
                        && !now.held()
                        && now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
                    askToRecover();
                }
            }
            case ABORTING -> send(new PeerMessage.Abort("the move is given up"));
            case NEW,
                    PREPARING,
                    MOVING,
                    STOPPING,
                    SWITCHING,
                    GATE,
                    FINISHING,
                    PACKAGING,
                    RETURNING,
                    STRANDED,
                    ENDED -> {}
        }
    }

    private void forgotten() {
        if (now.phase() == SourcePhase.CLOSING) {
            finished(); // It has closed long ago.
        } else if (now.phase() != SourcePhase.ENDED) {
            // Before the release it can't run the guest; after it, only an operator can find out.
            heard(now.isReleased() ? Heard.LOST : Heard.DECLINED);
            goOn();
        }
    }

    private void needsRelease() {
        if (!now.isReleased() && now.phase() != SourcePhase.ENDED) {
            throw illegal();
        }
    }

    private void heard(Heard next) {
        if (next.isFurtherThan(now.heard())) {
            now = now.with(next);
        }
    }

    // Transitions that several phases share.

    private void abort(Outcome outcome, String why) {
        note("given up: " + why);
        move(SourcePhase.ABORTING);
        now = now.with(outcome);
        write();
        send(new PeerMessage.Abort(why));
        aborting();
    }

    private void release() {
        move(SourcePhase.RELEASED);
        now = now.withEpoch(now.plan().grantEpoch());
        write();
        send(new PeerMessage.Grant(now.epoch()));
    }

    private void close() {
        move(SourcePhase.CLOSING);
        write();
        send(new PeerMessage.Finish());
    }

    private void takeBack() {
        move(SourcePhase.RETURNING);
        if (now.isReleased()) {
            now = now.withEpoch(now.plan().returnEpoch());
        }
        write();
        actions.add(new CloseRelay());
        actions.add(new Arm(Timer.STUCK));
        returning();
    }

    private void strand() {
        move(SourcePhase.STRANDED);
        write();
    }

    private void end(Outcome outcome) {
        move(SourcePhase.ENDED);
        now = now.with(outcome);
        write();
        actions.add(new CloseRelay());
        if (outcome == Outcome.MOVED && !now.gone()) {
            command(QemuCommand.RETIRE);
        }
        actions.add(new Finish(outcome));
    }

    private void move(SourcePhase next) {
        now = now.in(now.phase().to(next));
    }

    /** One for each step: it makes the state after the step durable, so the last ownership of the step counts. */
    private void write() {
        Write write = new Write(now.ownership(), now.epoch());
        for (int i = 0; i < actions.size(); i++) {
            if (actions.get(i) instanceof Write) {
                actions.set(i, write);
                return;
            }
        }
        actions.add(write);
    }

    private void send(PeerMessage message) {
        actions.add(new Send(message));
    }

    private void command(QemuCommand command) {
        if (!now.gone()) {
            actions.add(new Command(command));
        }
    }

    private void note(String text) {
        actions.add(new Note(text));
    }

    private void refuse(String why) {
        actions.add(new Refuse(why));
    }

    private IllegalTransitionException illegal() {
        return new IllegalTransitionException(MACHINE, before, event);
    }
}
