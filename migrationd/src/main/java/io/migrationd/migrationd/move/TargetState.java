package io.migrationd.migrationd.move;

import org.jspecify.annotations.Nullable;

/**
 * All that a target remembers of a move. What a restarted daemon gets back is the state of the last
 * {@link MoveAction.Write}.
 *
 * @param phase where the move stands
 * @param plan what never changes; {@code null} while there is no record of the move
 * @param fact what QEMU last said
 * @param sourceLost whether the source's QEMU died after the grant
 * @param outcome how it ended; {@code null} while that is open
 */
public record TargetState(
        TargetPhase phase,
        @Nullable MovePlan plan,
        QemuFact fact,
        boolean sourceLost,
        @Nullable Outcome outcome) {
    /** No record of the move. */
    public static final TargetState NO_RECORD = new TargetState(TargetPhase.NONE, null, QemuFact.UNKNOWN, false, null);

    /** What the journal says of the right to run here. */
    public Ownership ownership() {
        return switch (phase) {
            case NONE, DECLINED -> Ownership.DECLINED;
            case PREPARING, STANDBY, LOADED -> Ownership.STANDBY;
            case GRANTED, STARTING, RUNNING, PAUSED, RECOVERING, COMPLETE, ENDED -> Ownership.OWNER;
            case UNSURE -> Ownership.UNSURE;
        };
    }

    /** Of that right: the source's until the grant. */
    public long epoch() {
        if (plan == null) {
            return 0;
        }
        return ownership() == Ownership.OWNER || ownership() == Ownership.UNSURE ? plan.grantEpoch() : plan.epoch();
    }

    TargetState in(TargetPhase next) {
        return new TargetState(next, plan, fact, sourceLost, outcome);
    }

    TargetState with(MovePlan next) {
        return new TargetState(phase, next, fact, sourceLost, outcome);
    }

    TargetState with(QemuFact next) {
        return new TargetState(phase, plan, next, sourceLost, outcome);
    }

    TargetState withSourceLost() {
        return new TargetState(phase, plan, fact, true, outcome);
    }

    TargetState with(Outcome next) {
        return new TargetState(phase, plan, fact, sourceLost, next);
    }
}
