package io.migrationd.migrationd.move;

/** What a daemon does about an event, in this order; each is done before the next begins. */
public sealed interface MoveAction {
    /** Makes {@link Step#next()} and the ownership of the guest durable, in one transaction. A step has one at most. */
    record Write(Ownership ownership, long epoch) implements MoveAction {}

    /** Sends a message; dropped if there is no session, the next one begins with {@code SYNC}. */
    record Send(PeerMessage message) implements MoveAction {}

    /** Tells QEMU. Failure is an event ({@link MoveEvent.CommandFailed} or {@link MoveEvent.QemuGone}). */
    record Command(QemuCommand command) implements MoveAction {}

    /** Opens this end of the byte path for a new attempt, on fresh sockets. */
    record OpenRelay() implements MoveAction {}

    /** Closes all connections of this end with its QEMU. Bytes under way are lost. Harmless when closed. */
    record CloseRelay() implements MoveAction {}

    /** Looks at link, buffers and target, and answers with {@link MoveEvent.GateChecked}. */
    record CheckGate() implements MoveAction {}

    /** Starts a timer; one that runs is started anew. */
    record Arm(Timer timer) implements MoveAction {}

    /** A line of the report's timeline. */
    record Note(String text) implements MoveAction {}

    /** Tells whoever asked that it can't be done any more. */
    record Refuse(String why) implements MoveAction {}

    /** The move is over for this daemon. */
    record Finish(Outcome outcome) implements MoveAction {}
}
