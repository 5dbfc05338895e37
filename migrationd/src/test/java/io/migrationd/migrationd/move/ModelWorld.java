package io.migrationd.migrationd.move;

import io.migrationd.migrationd.move.ModelPath.Bytes;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.Consumer;

/**
 * The world around the two machines: two QEMUs, two daemons that may die between any two actions, their journals, the
 * session and the byte path. A state; {@link #successors} are all states that may follow.
 */
final class ModelWorld implements Cloneable {
    /**
     * What is searched.
     *
     * @param old whether both QEMUs are 7.2, else 10.0
     * @param hangs whether the target's main loop may hang while pages are missing
     * @param faults how many crashes of daemons and QEMUs a run may have
     */
    record Setting(
            MovePlan plan,
            boolean old,
            boolean hangs,
            int faults,
            boolean cancels,
            BiFunction<SourceState, MoveEvent, Step<SourceState>> source,
            BiFunction<TargetState, MoveEvent, Step<TargetState>> target) {}

    /** A successor. */
    record Next(String label, boolean fault, ModelWorld world) {}

    /** Of a daemon. */
    enum Life {
        UP,
        /** Will do nothing more; its relay threads still work. */
        DOOMED,
        DOWN
    }

    private enum Mark {
        RESET
    }

    SourceState source;
    SourceState sourceJournal;
    Life sourceLife = Life.UP;
    List<QemuCommand> sourceCommands = List.of();
    List<Object> sourceInbox = List.of();
    Set<Timer> sourceTimers = Set.of();
    boolean gateAsked;
    ModelQemu sourceQemu = ModelQemu.SOURCE;

    TargetState target = TargetState.NO_RECORD;
    TargetState targetJournal = TargetState.NO_RECORD;
    Life targetLife = Life.UP;
    List<QemuCommand> targetCommands = List.of();
    List<Object> targetInbox = List.of();
    Set<Timer> targetTimers = Set.of();
    List<MoveEvent> targetAnswers = List.of();
    ModelQemu targetQemu = ModelQemu.NOT_STARTED;
    /** Its main loop waits for a page that is missing: it answers to nothing in band, and is alive for the rest. */
    boolean targetHangs;
    /** It has a {@code cont} before it that it will carry out when it hangs no more. */
    boolean targetContIsLate;

    List<MoveEvent> sourceAnswers = List.of(new MoveEvent.Start());
    boolean session = true;
    ModelPath path = ModelPath.CLOSED;
    boolean targetRan;
    int faults;
    boolean cancelled;
    boolean postcopyDecided;

    ModelWorld(MovePlan plan) {
        source = SourceState.initial(plan);
        sourceJournal = source;
    }

    ModelWorld copy() {
        try {
            return (ModelWorld) clone();
        } catch (CloneNotSupportedException e) {
            throw new AssertionError(e);
        }
    }

    /** Everything that makes two states different. */
    Object[] parts() {
        return new Object[] {
            source,
            sourceJournal,
            sourceLife,
            sourceCommands,
            sourceInbox,
            sourceTimers,
            gateAsked,
            sourceQemu,
            target,
            targetJournal,
            targetLife,
            targetCommands,
            targetInbox,
            targetTimers,
            targetAnswers,
            targetQemu,
            targetHangs,
            targetContIsLate,
            sourceAnswers,
            session,
            path,
            targetRan,
            faults,
            cancelled,
            postcopyDecided
        };
    }

    // What may happen next.

    List<Next> successors(Setting setting) {
        List<Next> next = new ArrayList<>();
        sourceEvents(setting, next);
        targetEvents(setting, next);
        sourceQemuSteps(setting, next);
        targetQemuSteps(setting, next);
        bytes(next);
        lives(setting, next);
        return next;
    }

    private void add(List<Next> next, boolean fault, String label, Consumer<ModelWorld> change) {
        ModelWorld world = copy();
        change.accept(world);
        if (fault) {
            world.faults++;
        }
        world.targetRan |= world.targetQemu.runs();
        next.add(new Next(label, fault, world));
    }

    private void sourceEvents(Setting setting, List<Next> next) {
        if (sourceLife != Life.UP || !sourceCommands.isEmpty()) {
            return; // A driver handles no event while an action of the last one isn't done.
        }
        if (!sourceAnswers.isEmpty()) {
            sourceEvent(setting, next, sourceAnswers.getFirst(), w -> w.sourceAnswers = rest(w.sourceAnswers));
            return; // An answer to a command is looked at before anything else.
        }
        if (!sourceInbox.isEmpty()) {
            MoveEvent event = sourceInbox.getFirst() instanceof PeerMessage message
                    ? new MoveEvent.FromPeer(message)
                    : new MoveEvent.SessionReset();
            sourceEvent(setting, next, event, w -> w.sourceInbox = rest(w.sourceInbox));
        }
        if (source.phase() == SourcePhase.NEW) {
            return;
        }
        if (!sourceQemu.alive()) {
            if (!source.gone()) {
                sourceEvent(setting, next, new MoveEvent.QemuGone(), w -> {});
            }
        } else if (!sourceQemu.fact().equals(source.fact())) {
            sourceEvent(setting, next, new MoveEvent.Qemu(sourceQemu.fact()), w -> {});
        }
        if (gateAsked) {
            sourceEvent(setting, next, new MoveEvent.GateChecked(true, ""), w -> w.gateAsked = false);
            sourceEvent(setting, next, new MoveEvent.GateChecked(false, "no"), w -> w.gateAsked = false);
        }
        for (Timer timer : sourceTimers) {
            if (timer == Timer.STUCK && (!sourceQemuIsStill(setting) || isUnderWay())) {
                continue; // A driver looks at QEMU once more before it says that it hangs.
            }
            sourceEvent(
                    setting,
                    next,
                    new MoveEvent.TimerFired(timer),
                    w -> w.sourceTimers = without(w.sourceTimers, timer));
        }
        if (source.phase() == SourcePhase.MOVING
                && source.plan().mode() == MovePlan.Mode.POSTCOPY
                && !postcopyDecided) {
            sourceEvent(setting, next, new MoveEvent.StartPostcopy(), w -> w.postcopyDecided = true);
        }
        if (setting.cancels && !cancelled && source.phase() != SourcePhase.ENDED) {
            sourceEvent(setting, next, new MoveEvent.Cancel("by hand"), w -> w.cancelled = true);
        }
    }

    private boolean isUnderWay() {
        boolean inPostcopy = source.phase() == SourcePhase.PAGING || source.phase() == SourcePhase.RECOVERING;
        boolean empty = path.forward().isEmpty() && path.reverse().isEmpty();
        return inPostcopy && path.sourceOpen() && !path.cut() && !empty;
    }

    private boolean sourceQemuIsStill(Setting setting) {
        List<Next> own = new ArrayList<>();
        sourceQemuSteps(setting, own);
        return own.isEmpty() && sourceQemu.alive() && sourceQemu.fact().equals(source.fact());
    }

    private void sourceEvent(Setting setting, List<Next> next, MoveEvent event, Consumer<ModelWorld> taken) {
        Step<SourceState> step = setting.source.apply(source, event);
        int whole = step.actions().size();
        String label = "source: " + event;
        add(next, false, label + " " + step.next().phase() + " " + step.actions(), w -> {
            taken.accept(w);
            w.source = step.next();
            step.actions().forEach(w::sourceAction);
        });
        for (int i = 0; i < whole && faults < setting.faults; i++) {
            List<MoveAction> part = step.actions().subList(0, i);
            if (i + 1 < whole && isInvisible(step.actions().get(i))) {
                continue;
            }
            add(next, true, label + " and dies after " + part, w -> {
                taken.accept(w);
                w.source = step.next();
                part.forEach(w::sourceAction);
                w.sourceLife = Life.DOOMED;
            });
        }
    }

    private static boolean isInvisible(MoveAction action) {
        return action instanceof MoveAction.Note
                || action instanceof MoveAction.Finish
                || action instanceof MoveAction.Arm
                || action instanceof MoveAction.Refuse;
    }

    private void sourceAction(MoveAction action) {
        switch (action) {
            case MoveAction.Write _ -> sourceJournal = source;
            case MoveAction.Send(PeerMessage message) -> {
                if (session && !sourceInbox.contains(Mark.RESET)) {
                    targetInbox = append(targetInbox, message);
                }
            }
            case MoveAction.Command(QemuCommand command) -> sourceCommands = append(sourceCommands, command);
            case MoveAction.OpenRelay _ -> path = path.openSource();
            case MoveAction.CloseRelay _ -> path = path.closeSource();
            case MoveAction.CheckGate _ -> gateAsked = true;
            case MoveAction.Arm(Timer timer) -> sourceTimers = with(sourceTimers, timer);
            case MoveAction.Note _, MoveAction.Refuse _, MoveAction.Finish _ -> {}
        }
    }

    private void targetEvents(Setting setting, List<Next> next) {
        if (targetLife != Life.UP || !targetCommands.isEmpty()) {
            return;
        }
        if (!targetAnswers.isEmpty()) {
            targetEvent(setting, next, targetAnswers.getFirst(), w -> w.targetAnswers = rest(w.targetAnswers));
            return;
        }
        if (!targetInbox.isEmpty()) {
            MoveEvent event = targetInbox.getFirst() instanceof PeerMessage message
                    ? new MoveEvent.FromPeer(message)
                    : new MoveEvent.SessionReset();
            targetEvent(setting, next, event, w -> w.targetInbox = rest(w.targetInbox));
        }
        boolean watched = switch (target.phase()) {
            case NONE, DECLINED, UNSURE, ENDED -> false;
            case PREPARING -> targetQemu.started();
            case STANDBY, LOADED, GRANTED, STARTING, RUNNING, PAUSED, RECOVERING, COMPLETE -> true;
        };
        if (watched && !targetQemu.alive()) {
            targetEvent(setting, next, new MoveEvent.QemuGone(), w -> {});
        } else if (watched && !targetShows().equals(target.fact())) {
            targetEvent(setting, next, new MoveEvent.Qemu(targetShows()), w -> {});
        }
        for (Timer timer : targetTimers) {
            if (timer == Timer.STUCK && !targetQemuIsStill(setting)) {
                continue;
            }
            targetEvent(
                    setting,
                    next,
                    new MoveEvent.TimerFired(timer),
                    w -> w.targetTimers = without(w.targetTimers, timer));
        }
    }

    /** What its daemon can know of it: of one that hangs only what its events say. */
    private QemuFact targetShows() {
        if (!targetHangs) {
            return targetQemu.fact();
        }
        return targetQemu.status().isPostcopy() && target.phase().areEventsFacts()
                ? new QemuFact(targetQemu.status(), target.fact().vcpus())
                : target.fact();
    }

    private boolean targetQemuIsStill(Setting setting) {
        List<Next> own = new ArrayList<>();
        targetQemuSteps(setting, own);
        return own.isEmpty() && targetQemu.alive() && targetShows().equals(target.fact());
    }

    private void targetEvent(Setting setting, List<Next> next, MoveEvent event, Consumer<ModelWorld> taken) {
        Step<TargetState> step = setting.target.apply(target, event);
        int whole = step.actions().size();
        String label = "target: " + event;
        add(next, false, label + " " + step.next().phase() + " " + step.actions(), w -> {
            taken.accept(w);
            w.target = step.next();
            step.actions().forEach(w::targetAction);
        });
        for (int i = 0; i < whole && faults < setting.faults; i++) {
            List<MoveAction> part = step.actions().subList(0, i);
            if (i + 1 < whole && isInvisible(step.actions().get(i))) {
                continue;
            }
            add(next, true, label + " and dies after " + part, w -> {
                taken.accept(w);
                w.target = step.next();
                part.forEach(w::targetAction);
                w.targetLife = Life.DOOMED;
            });
        }
    }

    private void targetAction(MoveAction action) {
        switch (action) {
            case MoveAction.Write _ -> targetJournal = target;
            case MoveAction.Send(PeerMessage message) -> {
                if (session && !targetInbox.contains(Mark.RESET)) {
                    sourceInbox = append(sourceInbox, message);
                }
            }
            case MoveAction.Command(QemuCommand command) -> targetCommands = append(targetCommands, command);
            case MoveAction.OpenRelay _ -> path = path.openTarget();
            case MoveAction.CloseRelay _ -> path = path.closeTarget();
            case MoveAction.Arm(Timer timer) -> targetTimers = with(targetTimers, timer);
            case MoveAction.CheckGate _, MoveAction.Note _, MoveAction.Refuse _, MoveAction.Finish _ -> {}
        }
    }

    // The QEMUs.

    private void sourceQemuSteps(Setting setting, List<Next> next) {
        if (!sourceCommands.isEmpty()) {
            add(next, false, "source QEMU: " + sourceCommands.getFirst(), w -> {
                QemuCommand command = w.sourceCommands.getFirst();
                w.sourceCommands = rest(w.sourceCommands);
                if (w.sourceQemu.alive()) {
                    w.sourceCommand(command, setting.old);
                }
            });
        }
        ModelQemu qemu = sourceQemu;
        if (!qemu.alive()) {
            return;
        }
        if (!path.sourceOpen()) {
            sourceWithoutPath(setting, next);
            return;
        }
        switch (qemu.status()) {
            case ACTIVE -> {
                if (qemu.switching()) {
                    add(
                            next,
                            false,
                            "source QEMU: at the gate",
                            w -> w.sourceQemu = qemu.with(QemuStatus.PRE_SWITCHOVER));
                } else {
                    add(next, false, "source QEMU: converges", w -> w.sourceQemu = qemu.beginSwitchover(false));
                    if (qemu.postcopyAsked()) {
                        add(next, false, "source QEMU: to postcopy", w -> w.sourceQemu = qemu.beginSwitchover(true));
                    }
                }
            }
            case DEVICE -> {
                if (qemu.postcopy()) {
                    add(next, false, "source QEMU: sends the package", w -> {
                        w.sourceQemu = qemu.with(QemuStatus.POSTCOPY_ACTIVE);
                        w.path = w.path.send(Bytes.PACKAGE);
                    });
                } else if (!qemu.sentAll()) {
                    add(next, false, "source QEMU: sends the end", w -> {
                        w.sourceQemu = qemu.withSentAll(true);
                        w.path = w.path.send(Bytes.END);
                    });
                }
            }
            case POSTCOPY_ACTIVE -> {
                if (!qemu.sentAll()) {
                    add(next, false, "source QEMU: sends the last page", w -> {
                        w.sourceQemu = qemu.withSentAll(true);
                        w.path = w.path.send(Bytes.EOF);
                    });
                }
            }
            default -> {}
        }
    }

    /** The relay has closed QEMU's connection. */
    private void sourceWithoutPath(Setting setting, List<Next> next) {
        ModelQemu qemu = sourceQemu;
        switch (qemu.status()) {
            case SETUP, ACTIVE, DEVICE ->
                add(next, false, "source QEMU: fails", w -> w.sourceQemu = qemu.ended(QemuStatus.FAILED));
            case POSTCOPY_ACTIVE -> {
                if (!qemu.sentAll()) {
                    add(next, false, "source QEMU: pauses", w -> w.sourceQemu = qemu.with(QemuStatus.POSTCOPY_PAUSED));
                } else if (!setting.old) {
                    add(
                            next,
                            false,
                            "source QEMU: fails at the end",
                            w -> w.sourceQemu = qemu.ended(QemuStatus.FAILED));
                } // 7.2 hangs.
            }
            case POSTCOPY_RECOVER -> {
                if (!setting.old) {
                    add(
                            next,
                            false,
                            "source QEMU: pauses again",
                            w -> w.sourceQemu = qemu.with(QemuStatus.POSTCOPY_PAUSED));
                } // 7.2 is stuck.
            }
            default -> {}
        }
    }

    private void sourceCommand(QemuCommand command, boolean old) {
        ModelQemu qemu = sourceQemu;
        switch (command) {
            case MIGRATE -> {
                sourceQemu = qemu.with(QemuStatus.ACTIVE);
                path = path.send(Bytes.HEAD);
            }
            case CONTINUE_GATE -> {
                if (qemu.status() == QemuStatus.PRE_SWITCHOVER) {
                    sourceQemu = qemu.with(QemuStatus.DEVICE);
                } else {
                    sourceFailed(command);
                }
            }
            case STOP -> sourceQemu = qemu.with(Vcpus.STOPPED);
            case CONT -> sourceQemu = qemu.with(Vcpus.RUNNING);
            case CANCEL -> {
                switch (qemu.status()) {
                    case SETUP, ACTIVE, PRE_SWITCHOVER, DEVICE -> {
                        sourceQemu = qemu.ended(QemuStatus.CANCELLED);
                        path = path.closeSource();
                    }
                    case POSTCOPY_ACTIVE, POSTCOPY_PAUSED, POSTCOPY_RECOVER -> {
                        if (old) {
                            sourceQemu = qemu.with(QemuStatus.CANCELLING);
                        }
                    }
                    default -> {}
                }
            }
            case START_POSTCOPY -> {
                if (qemu.status() == QemuStatus.ACTIVE || qemu.status() == QemuStatus.PRE_SWITCHOVER) {
                    sourceQemu = qemu.withPostcopyAsked();
                } else {
                    sourceFailed(command);
                }
            }
            case PAUSE -> {
                if (qemu.status() == QemuStatus.POSTCOPY_ACTIVE) {
                    path = path.closeSource();
                } else {
                    sourceFailed(command);
                }
            }
            case RESUME -> {
                if (qemu.status() != QemuStatus.POSTCOPY_PAUSED) {
                    sourceFailed(command);
                } else if (path.sourceOpen() && !path.cut()) {
                    sourceQemu = qemu.with(QemuStatus.POSTCOPY_RECOVER).withSentAll(false);
                    path = path.send(Bytes.RECV_BITMAP).send(Bytes.POSTCOPY_RESUME);
                } // Else back to paused.
            }
            case RETIRE, KILL -> sourceQemu = qemu.dead(true);
            case SET_UP, SWITCH_OVER -> {}
            case START_INCOMING, RECOVER -> throw new AssertionError(command);
        }
    }

    private void sourceFailed(QemuCommand command) {
        if (sourceLife == Life.UP) {
            sourceAnswers = append(sourceAnswers, new MoveEvent.CommandFailed(command, "wrong state"));
        }
    }

    private void targetQemuSteps(Setting setting, List<Next> next) {
        if (!targetCommands.isEmpty()) {
            add(next, false, "target QEMU: " + targetCommands.getFirst(), w -> {
                QemuCommand command = w.targetCommands.getFirst();
                w.targetCommands = rest(w.targetCommands);
                if (w.targetQemu.alive() || command == QemuCommand.START_INCOMING) {
                    w.targetCommand(command, setting.old);
                }
            });
        }
        ModelQemu qemu = targetQemu;
        hangs(setting, next);
        if (qemu.alive() && !path.targetOpen()) {
            switch (qemu.status()) {
                case ACTIVE -> add(next, false, "target QEMU: exits", w -> w.targetQemu = qemu.dead(false));
                case POSTCOPY_ACTIVE ->
                    add(next, false, "target QEMU: pauses", w -> w.targetQemu = qemu.with(QemuStatus.POSTCOPY_PAUSED));
                case POSTCOPY_RECOVER -> {
                    if (setting.old) {
                        add(
                                next,
                                false,
                                "target QEMU: crashes in recovery (7.2)",
                                w -> w.targetQemu = qemu.dead(false));
                    } else {
                        add(
                                next,
                                false,
                                "target QEMU: pauses again",
                                w -> w.targetQemu = qemu.with(QemuStatus.POSTCOPY_PAUSED));
                    }
                }
                default -> {}
            }
        }
    }

    private void hangs(Setting setting, List<Next> next) {
        boolean pagesAreMissing = targetQemu.status().isPostcopy();
        if (!targetHangs
                && setting.hangs
                && targetQemu.alive()
                && pagesAreMissing
                && targetQemu.fact().isLoaded()) {
            add(next, false, "target QEMU: hangs", w -> w.targetHangs = true);
        }
        boolean pagesCome = carries()
                && !path.cut()
                && path.sourceOpen()
                && path.targetOpen()
                && sourceQemu.alive()
                && sourceQemu.status() == QemuStatus.POSTCOPY_ACTIVE
                && targetQemu.status() == QemuStatus.POSTCOPY_ACTIVE;
        if (targetHangs && (pagesCome || !pagesAreMissing || !targetQemu.alive())) {
            add(next, false, "target QEMU: hangs no more", w -> {
                w.targetHangs = false;
                if (w.targetContIsLate) {
                    w.targetContIsLate = false;
                    w.targetCommand(QemuCommand.CONT, setting.old);
                }
            });
        }
    }

    private void targetCommand(QemuCommand command, boolean old) {
        if (targetHangs && command == QemuCommand.CONT) {
            targetContIsLate = true; // Not answered in time.
            return;
        }
        ModelQemu qemu = targetQemu;
        switch (command) {
            case START_INCOMING -> {
                targetQemu = qemu.incoming();
                targetAnswer(new MoveEvent.Prepared());
            }
            case CONT -> {
                if (!qemu.alive()) {
                    return;
                }
                if (qemu.fact().isLoaded()) {
                    targetQemu = qemu.with(Vcpus.RUNNING);
                } else {
                    targetAnswer(new MoveEvent.CommandFailed(command, "wrong state"));
                }
            }
            case PAUSE -> {
                boolean can = qemu.status() == QemuStatus.POSTCOPY_ACTIVE
                        || (qemu.status() == QemuStatus.POSTCOPY_RECOVER && !old);
                if (can) {
                    targetQemu = qemu.with(QemuStatus.POSTCOPY_PAUSED);
                    path = path.closeTarget();
                } else {
                    targetAnswer(new MoveEvent.CommandFailed(command, "wrong state"));
                }
            }
            case RECOVER ->
                targetAnswer(
                        qemu.status() == QemuStatus.POSTCOPY_PAUSED
                                ? new MoveEvent.RecoverListening()
                                : new MoveEvent.CommandFailed(command, "wrong state"));
            case KILL -> targetQemu = qemu.dead(true);
            case SET_UP, MIGRATE, SWITCH_OVER, CONTINUE_GATE, STOP, CANCEL, START_POSTCOPY, RESUME, RETIRE ->
                throw new AssertionError(command);
        }
    }

    private void targetAnswer(MoveEvent event) {
        if (targetLife == Life.UP) {
            targetAnswers = append(targetAnswers, event);
        }
    }

    // The byte path.

    private void bytes(List<Next> next) {
        boolean carries = carries();
        if (carries && !path.cut() && path.sourceOpen() && path.targetOpen()) {
            if (!path.forward().isEmpty() && targetQemu.alive()) {
                add(next, false, "path: " + path.forward().getFirst() + " arrives", ModelWorld::deliver);
            }
            if (!path.reverse().isEmpty() && sourceQemu.alive()) {
                add(next, false, "path: " + path.reverse().getFirst() + " arrives", ModelWorld::deliverBack);
            }
        }
        // Directions and ends die together, as soon as the daemons can tell each other.
        boolean sourceEnds = path.sourceOpen() && !sourceQemu.alive() && sourceLife != Life.DOWN;
        boolean targetEnds =
                path.targetOpen() && targetQemu.started() && !targetQemu.alive() && targetLife != Life.DOWN;
        if (!path.cut() && (sourceEnds || targetEnds)) {
            add(next, false, "path: a QEMU is gone", w -> w.path = w.path.cutNow());
        }
        if (carries && path.cut() && (path.sourceOpen() || path.targetOpen())) {
            add(next, false, "path: the other end is closed too", w -> w.path = ModelPath.CLOSED);
        }
    }

    private boolean carries() {
        return sourceLife != Life.DOWN && targetLife != Life.DOWN && session;
    }

    private void deliver() {
        Bytes bytes = path.forward().getFirst();
        path = path.takeForward();
        switch (bytes) {
            case HEAD -> targetQemu = targetQemu.with(QemuStatus.ACTIVE);
            case END -> {
                targetQemu = targetQemu.with(QemuStatus.COMPLETED).with(Vcpus.STOPPED);
                path = path.answer(Bytes.SHUT);
            }
            case PACKAGE ->
                targetQemu = targetQemu.with(QemuStatus.POSTCOPY_ACTIVE).with(Vcpus.STOPPED);
            case EOF -> {
                targetQemu = targetQemu.with(QemuStatus.COMPLETED);
                path = path.answer(Bytes.SHUT);
            }
            case RECV_BITMAP -> targetQemu = targetQemu.with(QemuStatus.POSTCOPY_RECOVER);
            case POSTCOPY_RESUME -> {
                targetQemu = targetQemu.with(QemuStatus.POSTCOPY_ACTIVE);
                path = path.answer(Bytes.RESUME_ACK);
            }
            case RESUME_ACK, SHUT -> throw new AssertionError(bytes);
        }
    }

    private void deliverBack() {
        Bytes bytes = path.reverse().getFirst();
        path = path.takeReverse();
        if (bytes == Bytes.RESUME_ACK) {
            sourceQemu = sourceQemu.with(QemuStatus.POSTCOPY_ACTIVE);
        } else {
            sourceQemu = sourceQemu.with(QemuStatus.COMPLETED).with(Vcpus.STOPPED);
        }
    }

    // Deaths and restarts.

    private void lives(Setting setting, List<Next> next) {
        boolean more = faults < setting.faults;
        if (sourceLife == Life.DOOMED || (sourceLife == Life.UP && more && source.phase() != SourcePhase.NEW)) {
            add(next, sourceLife == Life.UP, "source daemon dies", w -> {
                w.sourceLife = Life.DOWN;
                w.sessionLost();
                w.path = w.path.closeSource();
                w.sourceAnswers = List.of();
                w.sourceTimers = Set.of();
                w.gateAsked = false;
            });
        }
        if (targetLife == Life.DOOMED || (targetLife == Life.UP && more)) {
            add(next, targetLife == Life.UP, "target daemon dies", w -> {
                w.targetLife = Life.DOWN;
                w.sessionLost();
                w.path = w.path.closeTarget();
                w.targetAnswers = List.of();
                w.targetTimers = Set.of();
            });
        }
        if (sourceLife == Life.DOWN) {
            add(next, false, "source daemon restarts", w -> {
                w.sourceLife = Life.UP;
                w.sourceCommands = List.of();
                w.source = w.sourceJournal;
                w.sourceAnswers = List.of(new MoveEvent.Restarted());
            });
        }
        if (targetLife == Life.DOWN) {
            add(next, false, "target daemon restarts", w -> {
                w.targetLife = Life.UP;
                w.targetCommands = List.of();
                w.target = w.targetJournal;
                w.targetAnswers = List.of(new MoveEvent.Restarted());
            });
        }
        boolean restarting =
                sourceAnswers.contains(new MoveEvent.Restarted()) || targetAnswers.contains(new MoveEvent.Restarted());
        if (!session && !restarting && sourceLife == Life.UP && targetLife == Life.UP) {
            add(next, false, "a new session", w -> {
                w.session = true;
                w.sourceInbox = List.of(Mark.RESET);
                w.targetInbox = List.of(Mark.RESET);
            });
        }
        // After its end a move has nothing to do with what becomes of a QEMU.
        boolean targetOver = target.phase() == TargetPhase.ENDED || target.phase() == TargetPhase.DECLINED;
        if (more && sourceQemu.alive() && source.phase() != SourcePhase.ENDED) {
            add(next, true, "source QEMU dies", w -> w.sourceQemu = w.sourceQemu.dead(false));
        }
        if (more && targetQemu.alive() && !targetOver) {
            add(next, true, "target QEMU dies", w -> w.targetQemu = w.targetQemu.dead(false));
        }
    }

    private void sessionLost() {
        session = false;
        sourceInbox = List.of();
        targetInbox = List.of();
    }

    private static <T> List<T> append(List<T> list, T last) {
        List<T> longer = new ArrayList<>(list);
        longer.add(last);
        return List.copyOf(longer);
    }

    private static <T> List<T> rest(List<T> list) {
        return List.copyOf(list.subList(1, list.size()));
    }

    private static Set<Timer> with(Set<Timer> timers, Timer timer) {
        Set<Timer> more = EnumSet.of(timer);
        more.addAll(timers);
        return more;
    }

    private static Set<Timer> without(Set<Timer> timers, Timer timer) {
        Set<Timer> fewer = EnumSet.copyOf(timers);
        fewer.remove(timer);
        return fewer;
    }
}
