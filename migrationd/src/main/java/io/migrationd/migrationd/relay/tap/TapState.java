package io.migrationd.migrationd.relay.tap;

/** How far a tap understands what passes. */
public enum TapState {
    /** It knows what the next byte means. */
    PARSING,
    /** The channel has said its last word. */
    ENDED,
    /** It met something it does not know; what passes is counted and no more. */
    LOST
}
