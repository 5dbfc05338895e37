package io.migrationd.migrationd.move;

/** What may happen to a move. */
public sealed interface MoveEvent {
    /** Source: begin. The session is up. */
    record Start() implements MoveEvent {}

    /** A message of the peer. */
    record FromPeer(PeerMessage message) implements MoveEvent {}

    /**
     * There is a session with another incarnation of the peer, or the first one of this incarnation: whatever was under
     * way in an older session, messages and bytes, is lost, and messages of it are never delivered any more. A link
     * that was down and came back with both daemons alive is no event.
     */
    record SessionReset() implements MoveEvent {}

    /** QEMU said something other than the last time. */
    record Qemu(QemuFact fact) implements MoveEvent {}

    /** QEMU's process is dead. */
    record QemuGone() implements MoveEvent {}

    /** A command failed; QEMU lives. */
    record CommandFailed(QemuCommand command, String why) implements MoveEvent {}

    /** Answer to {@link MoveAction.CheckGate}: whether link, buffers and the target's QEMU are good for the rest. */
    record GateChecked(boolean open, String why) implements MoveEvent {}

    /** Target: the incoming QEMU runs, is set up like the source and listens. */
    record Prepared() implements MoveEvent {}

    /** Target: that failed. */
    record PrepareFailed(String why) implements MoveEvent {}

    /** Target: QEMU listens for a recovery. */
    record RecoverListening() implements MoveEvent {}

    /** Policy: stop the guest for the last pass now, whatever the downtime. */
    record SwitchOver() implements MoveEvent {}

    /** Policy or operator: go over to postcopy. */
    record StartPostcopy() implements MoveEvent {}

    /** Policy or operator: give up, leave the guest where it is. Refused once the gate was passed. */
    record Cancel(String why) implements MoveEvent {}

    /** Operator: pause postcopy and leave it so. */
    record Pause() implements MoveEvent {}

    /** Operator: go on with paused postcopy. */
    record Resume() implements MoveEvent {}

    /** A timer of {@link MoveAction.Arm} has run down. */
    record TimerFired(Timer timer) implements MoveEvent {}

    /**
     * A new daemon with the state of the journal; the first event that it sees. What QEMU says follows, then
     * {@link SessionReset}.
     */
    record Restarted() implements MoveEvent {}

    /** Rescue has put the guest somewhere else: the stranded source isn't needed any more. */
    record Rescued() implements MoveEvent {}

    /** Rescue has started the guest anew at the source: its destination died before it ran, and has declined. */
    record Replaced() implements MoveEvent {}

    /** Operator, with force: the guest is to run at the source although nobody can prove that it runs nowhere else. */
    record Reclaim() implements MoveEvent {}
}
