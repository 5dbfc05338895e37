package io.migrationd.it.fault;

import java.time.Duration;

/**
 * One thing that happens to a link, and when. Steps happen one after the other: the next one is waited for when the one
 * before has happened, not when it is healed.
 */
public record Step(Trigger trigger, Action action) {
    /** When. */
    public sealed interface Trigger {
        /** At that place; {@code ordinal} counts from 1, over all connections. */
        record At(Place place, int ordinal) implements Trigger {
            @Override
            public String toString() {
                return ordinal == 1 ? place.toString() : place + " " + ordinal;
            }
        }

        /** When that many more bytes of all connections have passed in that direction. */
        record Bytes(Direction direction, long count) implements Trigger {
            @Override
            public String toString() {
                return count + " bytes " + direction;
            }
        }

        /** That long after the step before, or the first connection. */
        record After(Duration delay) implements Trigger {
            @Override
            public String toString() {
                return delay.toMillis() + " ms";
            }
        }
    }

    /** What. */
    public sealed interface Action {
        /** The connections of {@code scope} break. New ones are {@code newcomers} until {@code heal} later. */
        record Break(Cut cut, Scope scope, Duration heal, Newcomers newcomers) implements Action {
            @Override
            public String toString() {
                return cut
                        + (scope == Scope.ALL ? "" : " of " + scope)
                        + (heal.isZero() ? "" : " for %d ms, newcomers %s".formatted(heal.toMillis(), newcomers));
            }
        }

        /** The link's thread runs something short: a signal to a process. */
        record Run(String what, Runnable action) implements Action {
            @Override
            public String toString() {
                return what;
            }
        }
    }

    @Override
    public String toString() {
        return "%s: %s".formatted(trigger, action);
    }
}
