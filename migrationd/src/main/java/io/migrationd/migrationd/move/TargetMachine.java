package io.migrationd.migrationd.move;

import io.migrationd.migrationd.move.MoveAction.Arm;
import io.migrationd.migrationd.move.MoveAction.CloseRelay;
import io.migrationd.migrationd.move.MoveAction.Command;
import io.migrationd.migrationd.move.MoveAction.Finish;
import io.migrationd.migrationd.move.MoveAction.Note;
import io.migrationd.migrationd.move.MoveAction.OpenRelay;
import io.migrationd.migrationd.move.MoveAction.Send;
import io.migrationd.migrationd.move.MoveAction.Write;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;

/** What the target's daemon does about a move: a pure function, built like {@link SourceMachine}. */
public final class TargetMachine {
    private static final String MACHINE = "target of a move";

    private final TargetState before;
    private final MoveEvent event;
    private final List<MoveAction> actions = new ArrayList<>();
    private TargetState now;

    private TargetMachine(TargetState state, MoveEvent event) {
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
    public static Step<TargetState> step(TargetState state, MoveEvent event) {
        TargetMachine machine = new TargetMachine(state, event);
        machine.learn();
        return new Step<>(machine.now, machine.actions);
    }

    private void learn() {
        switch (event) {
            case MoveEvent.FromPeer(PeerMessage message) -> hear(message);
            case MoveEvent.SessionReset _ -> {
                if (now.phase() != TargetPhase.NONE) {
                    // Its bytes are lost. The source begins with SYNC.
                    actions.add(new CloseRelay());
                }
                if (now.phase() == TargetPhase.STANDBY || now.phase() == TargetPhase.GRANTED) {
                    // What QEMU has got whole it says within the timer; more won't come.
                    actions.add(new Arm(Timer.STUCK));
                }
            }
            case MoveEvent.Qemu(QemuFact fact) -> qemuSaid(fact);
            case MoveEvent.QemuGone _ -> gone();
            case MoveEvent.CommandFailed(QemuCommand command, String why) -> commandFailed(command, why);
            case MoveEvent.Prepared _ -> prepared();
            case MoveEvent.PrepareFailed(String why) -> {
                if (now.phase() == TargetPhase.PREPARING) {
                    decline(new PeerMessage.Refused(why));
                }
            }
            case MoveEvent.RecoverListening _ -> {
                if (now.phase() == TargetPhase.RECOVERING || now.phase() == TargetPhase.STARTING) {
                    // It is paused, or it wouldn't listen: whatever is seen from here on is news.
                    now = now.with(
                            new QemuFact(QemuStatus.POSTCOPY_PAUSED, now.fact().vcpus()));
                    actions.add(new OpenRelay());
                    send(new PeerMessage.RecoverReady());
                }
            }
            case MoveEvent.TimerFired(Timer timer) -> timer(timer);
            case MoveEvent.Restarted _ -> {
                now = now.with(QemuFact.UNKNOWN);
                if (now.phase() == TargetPhase.PREPARING) {
                    decline(new PeerMessage.Declined("restarted"));
                } else if (now.phase() == TargetPhase.STARTING && plan().guestRuns()) {
                    command(QemuCommand.CONT); // The old daemon may not have come to it.
                }
            }
            case MoveEvent.Start _,
                    MoveEvent.GateChecked _,
                    MoveEvent.SwitchOver _,
                    MoveEvent.StartPostcopy _,
                    MoveEvent.Cancel _,
                    MoveEvent.Pause _,
                    MoveEvent.Resume _,
                    MoveEvent.Rescued _,
                    MoveEvent.Replaced _,
                    MoveEvent.Reclaim _ -> throw illegal();
        }
    }

    // QEMU.

    private void qemuSaid(QemuFact fact) {
        now = now.with(fact);
        switch (now.phase()) {
            case STANDBY -> standby();
            case LOADED -> {
                boolean news = before.fact().status() != fact.status();
                if (isBroken(fact)) {
                    decline(new PeerMessage.Declined("QEMU is " + fact.status().qmpName()));
                } else if (news && fact.status() == QemuStatus.POSTCOPY_PAUSED) {
                    send(new PeerMessage.Paused());
                } else if (news && fact.status() == QemuStatus.COMPLETED) {
                    send(new PeerMessage.Loaded(QemuStatus.COMPLETED));
                }
            }
            case GRANTED -> {
                if (isBroken(fact)) {
                    decline(new PeerMessage.Declined("QEMU is " + fact.status().qmpName()));
                } else {
                    startIfLoaded();
                }
            }
            case STARTING -> starting();
            case RUNNING, PAUSED, RECOVERING -> running();
            case NONE, PREPARING, COMPLETE, DECLINED, UNSURE, ENDED -> {}
        }
    }

    private static boolean isBroken(QemuFact fact) {
        return fact.status() == QemuStatus.FAILED || fact.status() == QemuStatus.FAILING;
    }

    private void standby() {
        QemuFact fact = now.fact();
        boolean restarted = before.fact().status() == QemuStatus.UNKNOWN;
        if (fact.isLoaded()) {
            // Not written: the guest may be standing still, and a restarted daemon hears it from QEMU again.
            move(TargetPhase.LOADED);
            send(new PeerMessage.Loaded(fact.status()));
            if (fact.status() == QemuStatus.POSTCOPY_PAUSED) {
                send(new PeerMessage.Paused());
            }
        } else if (isBroken(fact)) {
            decline(new PeerMessage.Declined("QEMU is " + fact.status().qmpName()));
        } else if (restarted) {
            // Nothing more can come over the old connections. What QEMU has got whole it says within the timer.
            actions.add(new Arm(Timer.STUCK));
        }
    }

    private void startIfLoaded() {
        if (now.fact().isLoaded()) {
            start();
        }
    }

    private void start() {
        move(TargetPhase.STARTING);
        write();
        if (now.fact().status() == QemuStatus.POSTCOPY_PAUSED || now.fact().status() == QemuStatus.UNKNOWN) {
            sayHowItStands();
        }
        contOrStarted();
    }

    private boolean hasSaidNothing() {
        return plan().mode() == MovePlan.Mode.POSTCOPY && now.fact().status() == QemuStatus.UNKNOWN;
    }

    private void contOrStarted() {
        if (plan().guestRuns() && !now.fact().isRunning()) {
            command(QemuCommand.CONT);
        } else {
            starting();
        }
    }

    private void starting() {
        if (now.fact().isRunning() || (!plan().guestRuns() && now.fact().isLoaded())) {
            boolean whole = now.fact().status() == QemuStatus.COMPLETED;
            move(whole ? TargetPhase.COMPLETE : TargetPhase.RUNNING);
            write();
            if (whole) {
                send(new PeerMessage.Loaded(QemuStatus.COMPLETED));
            }
            send(new PeerMessage.Started());
            if (!whole) {
                running();
            }
        } else if (now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
            pausedBeforeItIsKnownToRun();
        }
    }

    /** Its main loop may hang at a page that is missing, and say no more until it is recovered. */
    private void pausedBeforeItIsKnownToRun() {
        if (now.sourceLost()) {
            lost();
        } else if (before.fact().status() != QemuStatus.POSTCOPY_PAUSED && before.phase() == TargetPhase.STARTING) {
            sayHowItStands();
        }
    }

    private void running() {
        QemuStatus status = now.fact().status();
        switch (status) {
            case COMPLETED -> {
                move(TargetPhase.COMPLETE);
                write();
                send(new PeerMessage.Loaded(QemuStatus.COMPLETED));
            }
            case POSTCOPY_ACTIVE -> {
                if (now.phase() != TargetPhase.RUNNING) {
                    move(TargetPhase.RUNNING);
                }
            }
            case POSTCOPY_PAUSED -> paused();
            case UNKNOWN,
                    NONE,
                    SETUP,
                    ACTIVE,
                    PRE_SWITCHOVER,
                    DEVICE,
                    POSTCOPY_DEVICE,
                    POSTCOPY_RECOVER_SETUP,
                    POSTCOPY_RECOVER,
                    FAILING,
                    FAILED,
                    CANCELLING,
                    CANCELLED -> {}
        }
    }

    private void paused() {
        if (now.sourceLost()) {
            lost();
            return;
        }
        if (before.phase() == TargetPhase.STARTING && before.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
            return; // Said before, and it may listen for the source's already.
        }
        // A restarted daemon says it again: its first answer to SYNC may have come before QEMU's.
        boolean restarted = before.fact().status() == QemuStatus.UNKNOWN;
        boolean fellBack =
                now.phase() == TargetPhase.RECOVERING && before.fact().status() != QemuStatus.POSTCOPY_PAUSED;
        if (now.phase() == TargetPhase.RUNNING || fellBack) {
            move(TargetPhase.PAUSED);
            send(new PeerMessage.Paused());
        } else if (now.phase() == TargetPhase.PAUSED && restarted) {
            send(new PeerMessage.Paused());
        }
    }

    private void gone() {
        switch (now.phase()) {
            case PREPARING -> decline(new PeerMessage.Refused("QEMU died"));
            case STANDBY, LOADED, GRANTED -> decline(new PeerMessage.Declined("QEMU died"));
            case STARTING -> {
                move(TargetPhase.UNSURE);
                now = now.with(Outcome.UNSURE);
                write();
                actions.add(new CloseRelay());
                send(new PeerMessage.TargetLost());
                actions.add(new Finish(Outcome.UNSURE));
            }
            case RUNNING, PAUSED, RECOVERING, COMPLETE -> lost();
            case NONE, DECLINED, UNSURE, ENDED -> {}
        }
    }

    private void prepared() {
        switch (now.phase()) {
            case PREPARING -> {
                move(TargetPhase.STANDBY);
                now = now.with(new QemuFact(QemuStatus.SETUP, Vcpus.INCOMING));
                write();
                actions.add(new OpenRelay());
                send(new PeerMessage.Ready());
            }
            case DECLINED -> command(QemuCommand.KILL); // Given up while it was being started.
            case NONE, STANDBY, LOADED, GRANTED, STARTING, RUNNING, PAUSED, RECOVERING, COMPLETE, UNSURE, ENDED ->
                throw illegal();
        }
    }

    private void commandFailed(QemuCommand command, String why) {
        note(command + " failed: " + why);
        if (command == QemuCommand.CONT && now.phase() == TargetPhase.STARTING) {
            actions.add(new Arm(Timer.RETRY));
        } else if (command == QemuCommand.RECOVER && now.phase() == TargetPhase.RECOVERING) {
            move(TargetPhase.PAUSED);
            send(new PeerMessage.RecoverFailed(why));
        } else if (command == QemuCommand.RECOVER && now.phase() == TargetPhase.STARTING) {
            send(new PeerMessage.RecoverFailed(why));
        }
    }

    private void timer(Timer timer) {
        switch (timer) {
            case RETRY -> {
                if (now.phase() == TargetPhase.STARTING) {
                    command(QemuCommand.CONT);
                }
            }
            case STUCK -> {
                if (now.phase() == TargetPhase.STANDBY) {
                    decline(new PeerMessage.Declined("the guest has not arrived and will not"));
                } else if (now.phase() == TargetPhase.GRANTED && hasSaidNothing()) {
                    // It hangs. Nobody grants in postcopy what we haven't said was loaded: an earlier daemon has.
                    note("QEMU does not answer, but it had loaded the guest");
                    start();
                }
            }
        }
    }

    // Messages.

    private void hear(PeerMessage message) {
        switch (message) {
            case PeerMessage.Prepare(MovePlan plan) -> {
                if (now.phase() != TargetPhase.NONE) {
                    throw illegal();
                }
                now = now.with(plan);
                move(TargetPhase.PREPARING);
                write();
                command(QemuCommand.START_INCOMING);
            }
            case PeerMessage.Abort _ -> abort();
            case PeerMessage.Grant(long epoch) -> grant(epoch);
            case PeerMessage.Recover _ -> recover();
            case PeerMessage.SourceLost _ -> sourceLost();
            case PeerMessage.Finish _ -> finish();
            case PeerMessage.Sync _ -> {
                if (now.phase() == TargetPhase.NONE) {
                    send(new PeerMessage.Unknown());
                } else {
                    sayHowItStands();
                }
            }
            case PeerMessage.Ready _,
                    PeerMessage.Refused _,
                    PeerMessage.Aborted _,
                    PeerMessage.Declined _,
                    PeerMessage.Loaded _,
                    PeerMessage.Started _,
                    PeerMessage.Paused _,
                    PeerMessage.RecoverReady _,
                    PeerMessage.RecoverFailed _,
                    PeerMessage.TargetLost _,
                    PeerMessage.Finished _,
                    PeerMessage.State _,
                    PeerMessage.Unknown _ -> throw illegal();
        }
    }

    private void abort() {
        switch (now.phase()) {
            case NONE, DECLINED -> send(new PeerMessage.Aborted());
            case PREPARING, STANDBY, LOADED -> decline(new PeerMessage.Aborted());
            // A source that has granted can't abort.
            case GRANTED, STARTING, RUNNING, PAUSED, RECOVERING, COMPLETE, UNSURE, ENDED -> throw illegal();
        }
    }

    private void grant(long epoch) {
        if (now.phase() == TargetPhase.NONE) {
            send(new PeerMessage.Unknown());
            return;
        }
        if (epoch != plan().grantEpoch()) {
            throw illegal();
        }
        switch (now.phase()) {
            case STANDBY -> {
                // The source heard SHUT before we asked our QEMU.
                move(TargetPhase.GRANTED);
                write();
            }
            case LOADED -> start();
            case GRANTED, STARTING -> {} // Answered when the guest runs.
            case RUNNING, PAUSED, RECOVERING, COMPLETE -> send(new PeerMessage.Started());
            case DECLINED -> send(new PeerMessage.Declined("declined before"));
            case UNSURE -> send(new PeerMessage.TargetLost());
            case ENDED ->
                send(now.outcome() == Outcome.MOVED ? new PeerMessage.Started() : new PeerMessage.TargetLost());
            case NONE, PREPARING -> throw illegal();
        }
    }

    private void recover() {
        switch (now.phase()) {
            // STARTING stays: whether the guest runs is still to be heard.
            case STARTING, RUNNING, PAUSED, RECOVERING -> {
                if (now.phase() == TargetPhase.RUNNING || now.phase() == TargetPhase.PAUSED) {
                    move(TargetPhase.RECOVERING);
                }
                actions.add(new CloseRelay());
                if (now.fact().status() != QemuStatus.POSTCOPY_PAUSED) {
                    command(QemuCommand.PAUSE); // It hasn't noticed yet; it fails if it has.
                }
                command(QemuCommand.RECOVER);
            }
            case COMPLETE -> send(new PeerMessage.Loaded(QemuStatus.COMPLETED)); // The source hasn't heard SHUT.
            case ENDED, UNSURE -> send(new PeerMessage.TargetLost());
            case NONE -> send(new PeerMessage.Unknown());
            case PREPARING, STANDBY, LOADED, GRANTED, DECLINED -> throw illegal();
        }
    }

    private void sourceLost() {
        now = now.withSourceLost();
        switch (now.phase()) {
            case RUNNING, PAUSED, RECOVERING -> {
                if (now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
                    paused();
                } else {
                    actions.add(new CloseRelay()); // What is here was handed to QEMU before; more won't come.
                }
            }
            case STARTING -> {
                actions.add(new CloseRelay());
                starting();
            }
            case COMPLETE -> send(new PeerMessage.Loaded(QemuStatus.COMPLETED));
            // Before the grant: the source asks whether it is whole here.
            case STANDBY -> {
                actions.add(new CloseRelay());
                actions.add(new Arm(Timer.STUCK));
            }
            case LOADED -> {
                if (now.fact().status() == QemuStatus.COMPLETED) {
                    send(new PeerMessage.Loaded(QemuStatus.COMPLETED));
                } else if (now.fact().status() == QemuStatus.POSTCOPY_PAUSED) {
                    send(new PeerMessage.Paused());
                } else {
                    actions.add(new CloseRelay());
                }
            }
            case DECLINED -> send(new PeerMessage.Declined("declined before"));
            case ENDED, UNSURE -> send(new PeerMessage.TargetLost());
            case NONE -> send(new PeerMessage.Unknown());
            case PREPARING, GRANTED -> throw illegal();
        }
    }

    private void finish() {
        switch (now.phase()) {
            case RUNNING, PAUSED, RECOVERING, COMPLETE -> {
                end(Outcome.MOVED);
                send(new PeerMessage.Finished());
            }
            case ENDED ->
                send(now.outcome() == Outcome.MOVED ? new PeerMessage.Finished() : new PeerMessage.TargetLost());
            case NONE -> send(new PeerMessage.Unknown());
            case PREPARING, STANDBY, LOADED, GRANTED, STARTING, DECLINED, UNSURE -> throw illegal();
        }
    }

    // Transitions that several phases share.

    /** Only where the journal proves that {@code cont} was never sent. */
    private void decline(PeerMessage answer) {
        move(TargetPhase.DECLINED);
        now = now.with(Outcome.FAILED_AT_SOURCE);
        write();
        actions.add(new CloseRelay());
        command(QemuCommand.KILL);
        send(answer);
        actions.add(new Finish(Outcome.FAILED_AT_SOURCE));
    }

    private void lost() {
        end(Outcome.LOST);
        send(new PeerMessage.TargetLost());
    }

    private void end(Outcome outcome) {
        move(TargetPhase.ENDED);
        now = now.with(outcome);
        write();
        actions.add(new CloseRelay());
        actions.add(new Finish(outcome));
    }

    private void move(TargetPhase next) {
        now = now.in(now.phase().to(next));
    }

    /** One for each step, before everything that needs it. */
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

    private MovePlan plan() {
        return Objects.requireNonNull(now.plan(), "a move with a record has a plan");
    }

    private void sayHowItStands() {
        send(new PeerMessage.State(now.phase(), now.fact()));
    }

    private void send(PeerMessage message) {
        actions.add(new Send(message));
    }

    private void command(QemuCommand command) {
        actions.add(new Command(command));
    }

    private void note(String text) {
        actions.add(new Note(text));
    }

    private IllegalTransitionException illegal() {
        return new IllegalTransitionException(MACHINE, before, event);
    }
}
