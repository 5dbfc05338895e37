package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.session.EventSink;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** What moves are made of on this host. */
interface MoveParts {
    String host();

    EventSink events();

    MoveStore store();

    MoveRelays relays();

    IncomingProcess.Starter starter();

    RescueTools rescues();

    Rehearsal rehearsal();

    GuestBook book();

    PeerLine.Dialing dialing();

    Reports reports();

    /** Addresses of a peer by its name in the configuration, or of the address itself; empty if it is neither. */
    List<MigrationUri> addresses(String to);

    /** Moves from here that an earlier daemon has left. */
    List<OpenSource> openSources();

    /** Moves to here that an earlier daemon has left. */
    List<OpenTarget> openTargets();

    /** Moves from here that have failed and were to be tried again when an earlier daemon died. */
    List<SourceJob> openRetries();

    /** What the journal has of a move to here that is over. */
    TargetState pastTarget(UUID move);

    /** The epoch of the guest's ownership, 0 for one that was never moved. */
    long epoch(UUID guest);

    /** Why the guest may not run here, if the journal says so. */
    Optional<String> notOurs(UUID guest);

    /** Why the guest may not come here: it runs here, by the journal and by its QEMU. */
    Optional<String> runsHere(UUID guest);

    /** Gives the guest back to this host, and lets it run. */
    void reclaim(GuestBook.DefinedGuest guest, boolean force) throws CommandException;

    /** A move from here. */
    record OpenSource(SourceJob job, SourceState state) {}

    /** A move to here. */
    record OpenTarget(TargetJob job, TargetState state) {}
}
