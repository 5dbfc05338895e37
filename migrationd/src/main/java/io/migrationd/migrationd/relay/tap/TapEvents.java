package io.migrationd.migrationd.relay.tap;

/**
 * Told of what a tap finds, from within {@link PushParser#accept}, so that the owner of the clock can note when. Not
 * called per page. Implementations are quick and throw nothing.
 */
public interface TapEvents {
    /** Does nothing. */
    TapEvents NONE = new TapEvents() {};

    /**
     * A place of the main channel was reached.
     *
     * @param value of a PING, bytes of a package, else 0
     */
    default void mark(Mark mark, long offset, long value) {}

    /** A pass has ended. */
    default void passEnded(Pass pass) {}

    /** The tap does not understand its channel any more. */
    default void lost(long offset, String reason) {}
}
