package io.migrationd.migrationd.move;

import java.util.List;

/** Where a move stands at the target. */
public enum TargetPhase {
    /** No record of the move. */
    NONE,
    /** QEMU is being started. */
    PREPARING,
    /** QEMU listens or loads. */
    STANDBY,
    /** QEMU could run the guest. */
    LOADED,
    /** OWNER is written, but QEMU hasn't said yet that it could run the guest: {@code cont} was never sent. */
    GRANTED,
    /** OWNER is written and {@code cont} may have been sent. */
    STARTING,
    /** The guest runs; pages may be missing. */
    RUNNING,
    /** The same, and the connection of the two QEMUs broke. */
    PAUSED,
    /** QEMU listens for the source's. */
    RECOVERING,
    /** The guest runs and needs nothing more from the source. */
    COMPLETE,
    /** The guest never ran here and never will. */
    DECLINED,
    /** QEMU died when the guest may just have started: an operator decides. */
    UNSURE,
    ENDED;

    /** A row of the table. */
    public record Transition(TargetPhase from, TargetPhase to, String why) {}

    /** Whatever is not listed is illegal. */
    public static final List<Transition> TABLE = List.of(
            new Transition(NONE, PREPARING, "asked for"),
            new Transition(PREPARING, STANDBY, "QEMU listens"),
            new Transition(PREPARING, DECLINED, "that failed, abort, or restart"),
            new Transition(STANDBY, LOADED, "QEMU could run the guest"),
            new Transition(STANDBY, GRANTED, "grant"),
            new Transition(STANDBY, DECLINED, "QEMU failed or died, abort, or restart before the source connected"),
            new Transition(LOADED, STARTING, "grant"),
            new Transition(LOADED, DECLINED, "QEMU died, or abort"),
            new Transition(GRANTED, STARTING, "QEMU could run the guest, or hangs and could before"),
            new Transition(GRANTED, DECLINED, "QEMU failed or died: cont was never sent"),
            new Transition(STARTING, RUNNING, "the guest runs"),
            new Transition(STARTING, COMPLETE, "the guest runs and is whole"),
            new Transition(STARTING, UNSURE, "QEMU died"),
            new Transition(STARTING, ENDED, "the source's QEMU died with pages that are missing here"),
            new Transition(RUNNING, PAUSED, "paused"),
            new Transition(RUNNING, RECOVERING, "the source is paused and asks to recover"),
            new Transition(RUNNING, COMPLETE, "everything is here"),
            new Transition(RUNNING, ENDED, "the source has closed, or a QEMU died"),
            new Transition(PAUSED, RECOVERING, "the source asks to recover"),
            new Transition(PAUSED, RUNNING, "recovered"),
            new Transition(PAUSED, COMPLETE, "everything is here"),
            new Transition(PAUSED, ENDED, "a QEMU died, or the source has closed"),
            new Transition(RECOVERING, PAUSED, "it did not work"),
            new Transition(RECOVERING, RUNNING, "recovered"),
            new Transition(RECOVERING, COMPLETE, "everything is here"),
            new Transition(RECOVERING, ENDED, "a QEMU died, or the source has closed"),
            new Transition(COMPLETE, ENDED, "the source has closed, or QEMU died"));

    /** Whether the move is over here: a later daemon does nothing more for it. */
    public boolean isLast() {
        return this == DECLINED || this == UNSURE || this == ENDED;
    }

    /**
     * Whether an event that announces a state of postcopy is a fact by itself: the package is loaded for certain, and a
     * main loop that hangs at a page that is missing answers to no question.
     */
    public boolean areEventsFacts() {
        return this == LOADED || this == STARTING || this == RUNNING || this == PAUSED || this == RECOVERING;
    }

    TargetPhase to(TargetPhase next) {
        return Phases.checked(
                "target of a move", this, next, TABLE.stream().anyMatch(t -> t.from == this && t.to == next));
    }
}
