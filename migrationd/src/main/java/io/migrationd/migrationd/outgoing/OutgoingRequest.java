package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.RecoverySettings;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;

/**
 * What an outgoing migration is made of.
 *
 * @param id names its threads and log lines
 * @param parameters asked at every step, so that a change takes effect in flight
 * @param replyTimeoutMillis how long the destination may take to answer while the guest can still run on here
 * @param release called once, before the destination may start the guest: makes it durable that this host's copy must
 *     not run again; if it throws, the migration fails and the guest runs on here
 * @param original the stream that this migration goes on with; empty for a stream of our own
 */
public record OutgoingRequest(
        String id,
        Guest guest,
        MigrationUri uri,
        Links links,
        Set<Capability> capabilities,
        Supplier<MigrationParameters> parameters,
        EventSink events,
        long replyTimeoutMillis,
        RecoverySettings recovery,
        Release release,
        Optional<OriginalStream> original) {
    /** Copies the set. */
    public OutgoingRequest {
        capabilities = Set.copyOf(capabilities);
    }

    /** A migration with a stream of its own. */
    public OutgoingRequest(
            String id,
            Guest guest,
            MigrationUri uri,
            Links links,
            Set<Capability> capabilities,
            Supplier<MigrationParameters> parameters,
            EventSink events,
            long replyTimeoutMillis,
            RecoverySettings recovery,
            Release release) {
        this(
                id,
                guest,
                uri,
                links,
                capabilities,
                parameters,
                events,
                replyTimeoutMillis,
                recovery,
                release,
                Optional.empty());
    }

    /** Gives the right to run up in writing. */
    @FunctionalInterface
    public interface Release {
        /** Returns when the record is on stable storage. */
        void write() throws java.io.IOException;

        /** The migration is about to stop the guest: a daemon that is killed meanwhile owes it a start. */
        default void stopping() throws java.io.IOException {}

        /** Nothing was given away, and the guest does here what it did before. */
        default void goesOnHere() {}

        /** As {@link #write}, with what a restarted daemon needs to go on with postcopy. */
        default void writeForPostcopy() throws java.io.IOException {
            write();
        }

        /** The destination has said that it never ran the guest and never will: this host's copy may run again. */
        default void takeBack() throws java.io.IOException {
            throw new java.io.IOException("what was given away is not taken back");
        }

        /** The connection of postcopy has broken, so often by now: a restarted daemon counts on. */
        default void broken(long times) throws java.io.IOException {}

        /** Postcopy is over: a restarted daemon has nothing to go on with. The right to run stays given up. */
        default void postcopyEnded() {}
    }

    /** What the destination knows section {@code ram} by. */
    int ramSectionId() {
        return original.map(OriginalStream::ramSectionId).orElse(PrecopyStream.RAM_SECTION_ID);
    }

    boolean has(Capability capability) {
        return capabilities.contains(capability);
    }
}
