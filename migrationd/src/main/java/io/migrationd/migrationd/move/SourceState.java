package io.migrationd.migrationd.move;

import org.jspecify.annotations.Nullable;

/**
 * All that a source remembers of a move. What a restarted daemon gets back is the state of the last
 * {@link MoveAction.Write}; the machine itself forgets then what may have changed meanwhile.
 *
 * @param phase where the move stands
 * @param plan what never changes
 * @param epoch of the guest's ownership here: the plan's epoch, its grant epoch once released, its return epoch after
 * @param fact what QEMU last said; a driver reports each answer that differs from this
 * @param gone whether its process is dead
 * @param heard the furthest that the target is known to have come
 * @param targetPaused whether the target's QEMU last said that it is postcopy-paused
 * @param pathBroken whether a byte or SHUT may have been lost after the gate: QEMU may have resumed unseen
 * @param complete whether the target needs nothing more from this QEMU, by the word of either QEMU
 * @param held whether an operator has paused postcopy
 * @param recovery how far an attempt to recover is
 * @param outcome how it ended, or will end if all goes as it looks; {@code null} while that is open
 */
public record SourceState(
        SourcePhase phase,
        MovePlan plan,
        long epoch,
        QemuFact fact,
        boolean gone,
        Heard heard,
        boolean targetPaused,
        boolean pathBroken,
        boolean complete,
        boolean held,
        Recovery recovery,
        @Nullable Outcome outcome) {
    /** How far the target has come, by its own word. */
    public enum Heard {
        NOTHING(0),
        /** Its QEMU has what it needs to let the guest run. */
        LOADED(1),
        /** It has told its QEMU to run the guest, or is about to: it can't decline any more. */
        STARTING(2),
        /** The guest runs there. */
        STARTED(3),
        /** It never ran there and never will. */
        DECLINED(4),
        /** Its QEMU died after the grant, or the target has forgotten the move after the grant. */
        LOST(4);

        private final int rank;

        Heard(int rank) {
            this.rank = rank;
        }

        boolean isFurtherThan(Heard other) {
            return rank > other.rank;
        }
    }

    /** Of a recovery. */
    public enum Recovery {
        IDLE,
        /** The target was asked to listen. */
        ASKED,
        /** Our QEMU was told to connect. */
        RESUMING
    }

    /** Before {@link MoveEvent.Start}. */
    public static SourceState initial(MovePlan plan) {
        return new SourceState(
                SourcePhase.NEW,
                plan,
                plan.epoch(),
                QemuFact.UNKNOWN,
                false,
                Heard.NOTHING,
                false,
                false,
                false,
                false,
                Recovery.IDLE,
                null);
    }

    /** RELEASED is written and the guest wasn't taken back: it may run at the target. */
    public boolean isReleased() {
        return epoch == plan.grantEpoch();
    }

    /** What the journal says of the right to run here. */
    public Ownership ownership() {
        return isReleased() ? Ownership.RELEASED : outcome == Outcome.UNSURE ? Ownership.UNSURE : Ownership.OWNER;
    }

    /** The guest runs here as before (or stands still, if it did before); whether the target is cleaned up or not. */
    public boolean isBackAtTheSource() {
        return !gone
                && (phase == SourcePhase.ABORTING || phase == SourcePhase.RETURNING || phase == SourcePhase.ENDED)
                && !isReleased()
                && (fact.status().isOver() || fact.status() == QemuStatus.COMPLETED)
                && (fact.isRunning() || !plan.guestRuns());
    }

    SourceState in(SourcePhase next) {
        return new SourceState(
                next, plan, epoch, fact, gone, heard, targetPaused, pathBroken, complete, held, recovery, outcome);
    }

    SourceState withEpoch(long next) {
        return new SourceState(
                phase, plan, next, fact, gone, heard, targetPaused, pathBroken, complete, held, recovery, outcome);
    }

    SourceState with(QemuFact next) {
        return new SourceState(
                phase, plan, epoch, next, gone, heard, targetPaused, pathBroken, complete, held, recovery, outcome);
    }

    SourceState withGone() {
        return new SourceState(
                phase, plan, epoch, fact, true, heard, targetPaused, pathBroken, complete, held, recovery, outcome);
    }

    SourceState with(Heard next) {
        return new SourceState(
                phase, plan, epoch, fact, gone, next, targetPaused, pathBroken, complete, held, recovery, outcome);
    }

    SourceState withTargetPaused(boolean next) {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, next, pathBroken, complete, held, recovery, outcome);
    }

    SourceState withPathBroken() {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, targetPaused, true, complete, held, recovery, outcome);
    }

    SourceState withComplete() {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, targetPaused, pathBroken, true, held, recovery, outcome);
    }

    SourceState withHeld(boolean next) {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, targetPaused, pathBroken, complete, next, recovery, outcome);
    }

    SourceState with(Recovery next) {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, targetPaused, pathBroken, complete, held, next, outcome);
    }

    SourceState with(Outcome next) {
        return new SourceState(
                phase, plan, epoch, fact, gone, heard, targetPaused, pathBroken, complete, held, recovery, next);
    }
}
