package io.migrationd.it.fault;

/** How a {@link LinkProxy} breaks its connections. */
public enum Cut {
    /**
     * Both ends get RST, bytes under way are lost. Unix sockets have no RST: their ends see the end of input, or
     * ECONNRESET if the proxy had not read everything.
     */
    RESET,
    /** Both ends see an orderly end of input; what they still send is dropped. */
    FIN,
    /** The target sees an orderly end of input and may go on to send; what the other end still sends is dropped. */
    FIN_FORWARD,
    /** The end that connected sees an orderly end of input and may go on to send. */
    FIN_REVERSE,
    /** Nothing passes in either direction and nobody is told, until {@link LinkProxy#heal}. */
    SILENCE,
    /** Nothing passes forward until {@link LinkProxy#heal}. */
    SILENCE_FORWARD,
    /** Nothing passes back until {@link LinkProxy#heal}. */
    SILENCE_REVERSE
}
