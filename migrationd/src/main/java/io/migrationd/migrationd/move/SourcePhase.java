package io.migrationd.migrationd.move;

import java.util.List;

/** Where a move stands at the source. */
public enum SourcePhase {
    /** Not begun. */
    NEW,
    /** The target gets ready. */
    PREPARING,
    /** QEMU sends while the guest runs. */
    MOVING,
    /** The guest was told to stop, so that it can never resume by itself after the switch to postcopy. */
    STOPPING,
    /** It is stopped and QEMU was told to go over to postcopy. */
    SWITCHING,
    /** The guest is stopped at QEMU's gate; nothing of the end was sent. */
    GATE,
    /** The gate was passed: the end is under way. */
    FINISHING,
    /** The guest was switched to postcopy; the target hasn't said yet that it could run it. */
    PACKAGING,
    /** RELEASED is written and the grant was sent: this guest isn't ours any more. */
    RELEASED,
    /** The guest runs at the target, which may need pages from here. */
    PAGING,
    /** The same, but the connection of the two QEMUs broke and is being made anew. */
    RECOVERING,
    /** The target needs nothing more from here. */
    CLOSING,
    /** The target has declined after the switch: the guest is to run here again. */
    RETURNING,
    /** The move is given up: the guest goes on here, the target's QEMU is to die. */
    ABORTING,
    /** The guest is whole in this QEMU, or its missing pages are, and QEMU has no command to go on: see rescue. */
    STRANDED,
    ENDED;

    /** A row of the table. */
    public record Transition(SourcePhase from, SourcePhase to, String why) {}

    /** Whatever is not listed is illegal. */
    public static final List<Transition> TABLE = List.of(
            new Transition(NEW, PREPARING, "asked for"),
            new Transition(PREPARING, MOVING, "the target listens"),
            new Transition(PREPARING, ABORTING, "cancel, restart, lost session, or QEMU died"),
            new Transition(PREPARING, ENDED, "the target refused"),
            new Transition(MOVING, GATE, "QEMU is at the gate"),
            new Transition(MOVING, STOPPING, "postcopy decided"),
            new Transition(MOVING, FINISHING, "somebody else has passed the gate"),
            new Transition(MOVING, ABORTING, "cancel, restart, lost session, declined, or QEMU failed or died"),
            new Transition(STOPPING, SWITCHING, "the guest stands still"),
            new Transition(STOPPING, GATE, "QEMU switched over before it was stopped: this goes on as precopy"),
            new Transition(STOPPING, FINISHING, "somebody else has passed the gate"),
            new Transition(STOPPING, ABORTING, "cancel, restart, lost session, declined, or QEMU failed or died"),
            new Transition(SWITCHING, GATE, "QEMU is at the gate"),
            new Transition(SWITCHING, FINISHING, "somebody else has passed the gate"),
            new Transition(SWITCHING, ABORTING, "cancel, restart, lost session, declined, or QEMU failed or died"),
            new Transition(GATE, FINISHING, "link, buffers and target are good, or somebody else has passed the gate"),
            new Transition(GATE, ABORTING, "they are not, or cancel, restart, lost session, declined, or QEMU died"),
            new Transition(FINISHING, RELEASED, "QEMU has completed, or died at the end with all of it at the target"),
            new Transition(FINISHING, PACKAGING, "QEMU went over to postcopy"),
            new Transition(FINISHING, RETURNING, "QEMU has completed, but the target has declined"),
            new Transition(FINISHING, ABORTING, "QEMU failed, or is still at the gate after a restart"),
            new Transition(FINISHING, ENDED, "QEMU died and may have resumed before: nobody can say"),
            new Transition(PACKAGING, RELEASED, "the target could run it"),
            new Transition(PACKAGING, RETURNING, "the target has declined"),
            new Transition(PACKAGING, ABORTING, "QEMU failed (11.0: before the package was acknowledged), or died"),
            new Transition(RELEASED, PAGING, "the target has started it, or hangs as it does"),
            new Transition(RELEASED, CLOSING, "the target has started it and needs nothing more"),
            new Transition(RELEASED, RETURNING, "the target has declined"),
            new Transition(RELEASED, ENDED, "the target is lost"),
            new Transition(PAGING, CLOSING, "everything is there"),
            new Transition(PAGING, RECOVERING, "paused"),
            new Transition(PAGING, STRANDED, "pages are missing there, and QEMU has failed or hangs"),
            new Transition(PAGING, ENDED, "either QEMU died"),
            new Transition(RECOVERING, PAGING, "recovered"),
            new Transition(RECOVERING, CLOSING, "the target had everything"),
            new Transition(RECOVERING, STRANDED, "pages are missing there, and QEMU has failed or hangs"),
            new Transition(RECOVERING, ENDED, "either QEMU died"),
            new Transition(CLOSING, ENDED, "the target says so, or it died"),
            new Transition(RETURNING, STRANDED, "QEMU is in postcopy and has no command to run the guest"),
            new Transition(RETURNING, ENDED, "the guest runs here, or QEMU died"),
            new Transition(ABORTING, RETURNING, "QEMU went on to postcopy, and the target has declined"),
            new Transition(ABORTING, ENDED, "the guest runs here and the target has declined, or QEMU died"),
            new Transition(STRANDED, CLOSING, "the target had everything"),
            new Transition(STRANDED, ENDED, "rescued, or either QEMU died"),
            new Transition(ENDED, RETURNING, "an operator takes the guest back by force"));

    SourcePhase to(SourcePhase next) {
        return Phases.checked(
                "source of a move", this, next, TABLE.stream().anyMatch(t -> t.from == this && t.to == next));
    }
}
