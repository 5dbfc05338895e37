package io.migrationd.migrationd;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.journal.MigrationRecord;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingRequest;
import io.migrationd.migrationd.session.Capability;
import java.io.IOException;
import java.util.Set;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What the source of a guest writes down, in the order in which it matters after a restart. */
final class HandOver implements OutgoingRequest.Release {
    private static final Logger log = LoggerFactory.getLogger(HandOver.class);

    private final Guest guest;
    private final GuestServices services;
    private final MigrationUri destination;
    private final Set<Capability> capabilities;

    HandOver(Guest guest, GuestServices services, MigrationUri destination, Set<Capability> capabilities) {
        this.guest = guest;
        this.services = services;
        this.destination = destination;
        this.capabilities = Set.copyOf(capabilities);
    }

    @Override
    public void stopping() throws IOException {
        services.migrations().put(record(MigrationRecord.STOPPING, false));
    }

    @Override
    public void goesOnHere() {
        postcopyEnded();
    }

    @Override
    public void write() throws IOException {
        services.ownership().release(guest, destination);
        postcopyEnded();
    }

    /**
     * A record of a migration whose guest was not released yet would be gone on with: released first. A guest that the
     * migration has stopped is not paused: one that is, was by an operator.
     */
    @Override
    public void writeForPostcopy() throws IOException {
        services.ownership().release(guest, destination);
        services.migrations().put(record(MigrationRecord.UNDER_WAY, guest.runState() == RunState.PAUSED));
    }

    /** Postcopy goes on with the destination at another address. */
    void moved() throws IOException {
        services.migrations().change(guest.name(), record -> record.movedTo(destination.toString()));
    }

    @Override
    public void broken(long times) throws IOException {
        services.migrations().change(guest.name(), record -> record.brokenTimes(times));
    }

    private MigrationRecord record(String phase, boolean paused) {
        return record(guest, MigrationRecord.SOURCE, destination, capabilities, phase, paused);
    }

    @Override
    public void takeBack() throws IOException {
        services.migrations().remove(guest.name());
        services.ownership().forget(guest);
    }

    @Override
    public void postcopyEnded() {
        try {
            services.migrations().remove(guest.name());
        } catch (IOException e) {
            log.atWarn().addKeyValue("guest", guest.name()).setCause(e).log("record of the migration not removed");
        }
    }

    static MigrationRecord record(
            Guest guest, String role, MigrationUri uri, Set<Capability> capabilities, String phase, boolean paused) {
        return new MigrationRecord(
                role,
                guest.name(),
                guest.uuid().map(UUID::toString).orElse(null),
                uri.toString(),
                capabilities.stream().map(Capability::qmpName).sorted().toList(),
                phase,
                paused,
                0);
    }
}
