package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.session.EventSink;

/** What the moves of a daemon share. */
interface MoveServices {
    MoveStore store();

    EventSink events();

    /** Tells others, in the order of the calls, on another thread: a guest that stands still does not wait for it. */
    void announce(Runnable news);

    MoveRelays relays();

    IncomingProcess.Starter starter();

    RescueTools rescues();

    /** Whether this host's definition of the guest says how it is started. */
    boolean mayStartHere(String guest);

    /** This host's name. */
    String host();

    /** A source's thread is at its end; {@code broken}: by a defect, the journal stays open. */
    void sourceEnded(SourceMove move, boolean broken);

    /** A target's thread is at its end. */
    void targetEnded(TargetMove move, boolean broken);
}
