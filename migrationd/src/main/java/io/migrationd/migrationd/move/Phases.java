package io.migrationd.migrationd.move;

import io.migrationd.protocol.stream.IllegalTransitionException;

/** What both tables do. */
final class Phases {
    private Phases() {}

    static <P extends Enum<P>> P checked(String machine, P from, P to, boolean listed) {
        if (from != to && !listed) {
            throw new IllegalTransitionException(machine, from, to);
        }
        return to;
    }
}
