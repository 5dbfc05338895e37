package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.util.Set;

/**
 * What an incoming migration is made of.
 *
 * @param id names its thread and log lines
 * @param peerSilenceMillis how long a connected source may send nothing before the migration fails
 * @param deviceStateBytes the most device state that is held for a stream
 * @param acceptance called once when the stream is whole, before the guest may start
 */
public record IncomingRequest(
        String id,
        Guest guest,
        MigrationUri uri,
        Links links,
        Set<Capability> capabilities,
        EventSink events,
        long peerSilenceMillis,
        int deviceStateBytes,
        RecoverySettings recovery,
        Acceptance acceptance) {
    /** Copies the set. */
    public IncomingRequest {
        capabilities = Set.copyOf(capabilities);
    }

    /** Records that the guest is this host's again. */
    @FunctionalInterface
    public interface Acceptance {
        /** Returns when the record is on stable storage. */
        void write() throws IOException;

        /**
         * Postcopy may begin: from now on a restarted daemon must know of it, and answer at {@code listening}. The
         * guest does not run here yet; {@link #write} follows before it does.
         */
        default void writeForPostcopy(MigrationUri listening) throws IOException {}

        /** The source is awaited at another address. */
        default void moved(MigrationUri listening) throws IOException {}

        /** The connection of postcopy has broken, so often by now: a restarted daemon counts on. */
        default void broken(long times) throws IOException {}

        /** The source has heard how it ended: nobody will ask again. */
        default void sourceKnows() throws IOException {}

        /** Postcopy is over: the guest is complete here, or will never run here. */
        default void postcopyEnded(boolean complete) throws IOException {}
    }
}
