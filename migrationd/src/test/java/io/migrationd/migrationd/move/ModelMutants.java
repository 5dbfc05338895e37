package io.migrationd.migrationd.move;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;

/** The machines, each with one rule broken on purpose. */
enum ModelMutants {
    TARGET_CONTS_BEFORE_IT_WRITES {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            Step<TargetState> step = super.target(state, event);
            MoveAction cont = new MoveAction.Command(QemuCommand.CONT);
            if (!step.actions().contains(cont)) {
                return step;
            }
            List<MoveAction> actions = new ArrayList<>(step.actions());
            List<MoveAction> writes =
                    actions.stream().filter(a -> a instanceof MoveAction.Write).toList();
            actions.removeAll(writes);
            // Written when QEMU says that it runs.
            return new Step<>(step.next(), actions);
        }
    },
    SOURCE_RELEASES_BEFORE_COMPLETED {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            Step<SourceState> step = super.source(state, event);
            SourceState next = step.next();
            if (next.phase() == SourcePhase.FINISHING && next.heard() == SourceState.Heard.LOADED && !next.gone()) {
                SourceState released =
                        next.in(SourcePhase.RELEASED).withEpoch(next.plan().grantEpoch());
                return new Step<>(
                        released,
                        List.of(
                                new MoveAction.Write(Ownership.RELEASED, released.epoch()),
                                new MoveAction.Send(new PeerMessage.Grant(released.epoch()))));
            }
            return step;
        }
    },
    TARGET_RUNS_WITHOUT_A_GRANT {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            Step<TargetState> step = super.target(state, event);
            return step.next().phase() == TargetPhase.LOADED && state.phase() == TargetPhase.STANDBY
                    ? more(step, new MoveAction.Command(QemuCommand.CONT))
                    : step;
        }
    },
    TARGET_HONOURS_A_GRANT_AFTER_DECLINED {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            if (state.phase() == TargetPhase.LOADED && event instanceof MoveEvent.SessionReset) {
                // Declines, and leaves its QEMU alive for now.
                TargetState declined = state.in(TargetPhase.DECLINED);
                return new Step<>(
                        declined,
                        List.of(
                                new MoveAction.Write(Ownership.DECLINED, declined.epoch()),
                                new MoveAction.Send(new PeerMessage.Declined("a new session"))));
            }
            if (state.phase() == TargetPhase.DECLINED && event instanceof MoveEvent.FromPeer(PeerMessage.Grant _)) {
                TargetState started = state.in(TargetPhase.STARTING);
                return new Step<>(
                        started,
                        List.of(
                                new MoveAction.Write(Ownership.OWNER, started.epoch()),
                                new MoveAction.Command(QemuCommand.CONT)));
            }
            return super.target(state, event);
        }
    },
    SOURCE_RESUMES_AFTER_RELEASE {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            Step<SourceState> step = super.source(state, event);
            return state.phase() == SourcePhase.RELEASED && event instanceof MoveEvent.SessionReset
                    ? more(step, new MoveAction.Command(QemuCommand.CONT))
                    : step;
        }
    },
    SOURCE_IS_NOT_STOPPED_BEFORE_POSTCOPY {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            if (state.phase() == SourcePhase.MOVING && event instanceof MoveEvent.StartPostcopy) {
                SourceState next = state.in(SourcePhase.SWITCHING);
                return new Step<>(
                        next,
                        List.of(
                                new MoveAction.Write(Ownership.OWNER, next.epoch()),
                                new MoveAction.Command(QemuCommand.START_POSTCOPY)));
            }
            return super.source(state, event);
        }
    },
    SOURCE_TAKES_BACK_WHAT_MAY_HAVE_RUN {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            boolean lost = event instanceof MoveEvent.FromPeer(PeerMessage.TargetLost _);
            return state.phase() == SourcePhase.RELEASED && lost
                    ? super.source(state, new MoveEvent.FromPeer(new PeerMessage.Declined("lost")))
                    : super.source(state, event);
        }
    },
    TARGET_DECLINES_WHAT_MAY_HAVE_RUN {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            if (state.phase() == TargetPhase.STARTING && event instanceof MoveEvent.QemuGone) {
                TargetState declined = state.in(TargetPhase.DECLINED);
                return new Step<>(
                        declined,
                        List.of(
                                new MoveAction.Write(Ownership.DECLINED, declined.epoch()),
                                new MoveAction.Send(new PeerMessage.Declined("QEMU died"))));
            }
            return super.target(state, event);
        }
    },
    RESTARTED_TARGET_FORGETS_TO_CONT {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            Step<TargetState> step = super.target(state, event);
            return state.phase() == TargetPhase.STARTING && event instanceof MoveEvent.Restarted
                    ? new Step<>(step.next(), List.of())
                    : step;
        }
    },
    SOURCE_WAITS_FOR_A_TARGET_THAT_HANGS {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            boolean hangs = event instanceof MoveEvent.FromPeer(PeerMessage.State(TargetPhase phase, QemuFact _))
                    && phase == TargetPhase.STARTING;
            return hangs && state.phase() == SourcePhase.RELEASED
                    ? new Step<>(state, List.of(new MoveAction.Send(new PeerMessage.Grant(state.epoch()))))
                    : super.source(state, event);
        }
    },
    TARGET_DOES_NOT_RECOVER_AS_IT_STARTS {
        @Override
        Step<TargetState> target(TargetState state, MoveEvent event) {
            return state.phase() == TargetPhase.STARTING && event instanceof MoveEvent.FromPeer(PeerMessage.Recover _)
                    ? new Step<>(state, List.of(new MoveAction.Send(new PeerMessage.RecoverFailed("it starts"))))
                    : super.target(state, event);
        }
    },
    SOURCE_QUITS_AT_THE_RELEASE {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            Step<SourceState> step = super.source(state, event);
            return step.next().phase() == SourcePhase.RELEASED && state.phase() == SourcePhase.FINISHING
                    ? more(step, new MoveAction.Command(QemuCommand.RETIRE))
                    : step;
        }
    },
    RESTARTED_SOURCE_DOES_NOT_ASK {
        @Override
        Step<SourceState> source(SourceState state, MoveEvent event) {
            Step<SourceState> step = super.source(state, event);
            return event instanceof MoveEvent.SessionReset ? new Step<>(step.next(), List.of()) : step;
        }
    };

    Step<SourceState> source(SourceState state, MoveEvent event) {
        return SourceMachine.step(state, event);
    }

    Step<TargetState> target(TargetState state, MoveEvent event) {
        return TargetMachine.step(state, event);
    }

    BiFunction<SourceState, MoveEvent, Step<SourceState>> source() {
        return this::source;
    }

    BiFunction<TargetState, MoveEvent, Step<TargetState>> target() {
        return this::target;
    }

    private static <S> Step<S> more(Step<S> step, MoveAction action) {
        List<MoveAction> actions = new ArrayList<>(step.actions());
        actions.add(action);
        return new Step<>(step.next(), actions);
    }
}
