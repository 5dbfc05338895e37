package io.migrationd.migrationd.move;

import java.util.List;

/**
 * What follows from an event.
 *
 * @param next the state from now on
 * @param actions what to do, in order
 */
public record Step<S>(S next, List<MoveAction> actions) {
    /** Copies the list. */
    public Step {
        actions = List.copyOf(actions);
    }
}
