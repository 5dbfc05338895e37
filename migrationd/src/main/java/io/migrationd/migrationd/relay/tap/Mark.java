package io.migrationd.migrationd.relay.tap;

/** Places of a main channel that a relay wants to know. Offsets are those of an element's first byte. */
public enum Mark {
    /** The return path is asked for. */
    OPEN_RETURN_PATH,
    /** POSTCOPY_ADVISE. */
    ADVISE,
    /** The first part of the RAM section: its block list. */
    RAM_START,
    /** The first PART of RAM: iteration has begun. */
    FIRST_PART,
    /** The command SWITCHOVER_START, from QEMU 10.0. */
    SWITCHOVER_START,
    /**
     * The guest stands at the source: SWITCHOVER_START, the first END of RAM, the first discard, the package, or the
     * first device section behind a PART, whichever comes first.
     */
    SWITCHOVER,
    /** A POSTCOPY_RAM_DISCARD. */
    DISCARD,
    /** The command PACKAGED. */
    PACKAGED,
    /** The first byte behind the package. */
    PACKAGE_END,
    /** POSTCOPY_LISTEN. */
    LISTEN,
    /** A PING. */
    PING,
    /** POSTCOPY_RUN: a destination that gets here runs the guest. */
    RUN,
    /** The end of the section loop. */
    EOF,
    /** The first byte behind the trailing description. */
    DESCRIPTION_END,
    /** RECV_BITMAP of a recovery. */
    RECV_BITMAP,
    /** POSTCOPY_RESUME of a recovery. */
    POSTCOPY_RESUME
}
