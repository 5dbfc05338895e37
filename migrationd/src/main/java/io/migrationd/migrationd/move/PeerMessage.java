package io.migrationd.migrationd.move;

/** What the daemons tell each other about one move (docs/moves.md §3), as far as the machines care. */
public sealed interface PeerMessage {
    /** Source: get ready. */
    record Prepare(MovePlan plan) implements PeerMessage {}

    /** Target: its QEMU listens. */
    record Ready() implements PeerMessage {}

    /** Target: it can't; nothing is left there. */
    record Refused(String why) implements PeerMessage {}

    /** Source: give it up. Never sent after a release. */
    record Abort(String why) implements PeerMessage {}

    /** Target: DECLINED is written and its QEMU is dead. */
    record Aborted() implements PeerMessage {}

    /** Target: DECLINED is written: the guest never ran there and never will. */
    record Declined(String why) implements PeerMessage {}

    /** Target: its QEMU has loaded what it needs to run; with {@code COMPLETED} it needs nothing more at all. */
    record Loaded(QemuStatus status) implements PeerMessage {}

    /** Source: RELEASED is written with this epoch. */
    record Grant(long epoch) implements PeerMessage {}

    /** Target: OWNER is written and the guest runs. */
    record Started() implements PeerMessage {}

    /** Target: its QEMU is postcopy-paused. */
    record Paused() implements PeerMessage {}

    /** Source: listen for a recovery. */
    record Recover() implements PeerMessage {}

    /** Target: its QEMU listens for the recovery. */
    record RecoverReady() implements PeerMessage {}

    /** Target: not now. */
    record RecoverFailed(String why) implements PeerMessage {}

    /** Target: its QEMU died after the grant. */
    record TargetLost() implements PeerMessage {}

    /** Source: its QEMU died after the gate and nothing will come any more: what has the target got? */
    record SourceLost() implements PeerMessage {}

    /** Source: it has nothing more that the target needs. */
    record Finish() implements PeerMessage {}

    /** Target: the move is over. */
    record Finished() implements PeerMessage {}

    /** Source, first message of a new session, or when it is cut off before {@code STARTED}: where do you stand? */
    record Sync(SourcePhase phase) implements PeerMessage {}

    /**
     * Target's answer to {@code SYNC}; unasked when it is cut off as it starts the guest.
     *
     * @param phase where it stands
     * @param fact what its QEMU last said
     */
    record State(TargetPhase phase, QemuFact fact) implements PeerMessage {}

    /** Target: no record of this move. */
    record Unknown() implements PeerMessage {}
}
