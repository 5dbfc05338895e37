package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.move.Ownership;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.TargetState;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;

/** What a driver needs of the journal. Every write but a note is on stable storage when it returns. Any thread. */
interface MoveStore {
    /** The state and who owns the guest, in one transaction. */
    void write(SourceJob job, SourceState state, Ownership ownership, long epoch) throws IOException;

    /** The state and who owns the guest, in one transaction. */
    void write(TargetJob job, TargetState state, Ownership ownership, long epoch) throws IOException;

    /** What is left behind if the daemon dies now, and how it is undone. */
    void step(UUID move, String kind, Map<String, String> undo) throws IOException;

    /** The newest of that kind that was not undone. */
    Optional<Map<String, String>> step(UUID move, String kind);

    /** It is undone. */
    void undone(UUID move, String kind) throws IOException;

    /** The kind of a step that says that the move is to be tried again once it has failed. */
    String RETRY = "retry";

    /** A line for the report; a moment later it outlives the daemon. Waits for nothing. */
    void note(UUID move, long atMillis, String event, String detail);

    /** The lines of a move, in order. */
    List<Line> notes(UUID move);

    /** The move is over: nothing of it has to be done by a later daemon. */
    void ended(UUID move) throws IOException;

    /** A line of a timeline. */
    record Line(long atMillis, String event, String detail) {}
}
