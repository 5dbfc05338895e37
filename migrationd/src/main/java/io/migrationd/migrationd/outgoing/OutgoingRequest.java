package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationParameters;
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
        Release release) {
    /** Copies the set. */
    public OutgoingRequest {
        capabilities = Set.copyOf(capabilities);
    }

    /** Gives the right to run up in writing. */
    @FunctionalInterface
    public interface Release {
        /** Returns when the record is on stable storage. */
        void write() throws java.io.IOException;
    }

    boolean has(Capability capability) {
        return capabilities.contains(capability);
    }
}
