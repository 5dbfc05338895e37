package io.migrationd.migrationd;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.incoming.IncomingRequest;
import io.migrationd.migrationd.journal.MigrationRecord;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import java.io.IOException;
import java.util.Optional;
import java.util.Set;

/** What the destination of a guest writes down. */
final class TakeOver implements IncomingRequest.Acceptance {
    private final Guest guest;
    private final GuestServices services;
    private final Set<Capability> capabilities;

    TakeOver(Guest guest, GuestServices services, Set<Capability> capabilities) {
        this.guest = guest;
        this.services = services;
        this.capabilities = Set.copyOf(capabilities);
    }

    @Override
    public void write() throws IOException {
        services.ownership().forget(guest);
    }

    @Override
    public void writeForPostcopy(MigrationUri listening) throws IOException {
        services.migrations()
                .put(HandOver.record(
                        guest, MigrationRecord.DESTINATION, listening, capabilities, MigrationRecord.UNDER_WAY, false));
    }

    @Override
    public void moved(MigrationUri listening) throws IOException {
        services.migrations().change(guest.name(), record -> record.movedTo(listening.toString()));
    }

    @Override
    public void broken(long times) throws IOException {
        services.migrations().change(guest.name(), record -> record.brokenTimes(times));
    }

    @Override
    public void postcopyEnded(boolean complete) throws IOException {
        Optional<MigrationRecord> underWay = services.migrations().find(guest.name());
        if (underWay.isPresent()) {
            String phase = complete ? MigrationRecord.COMPLETE : MigrationRecord.NEVER_RAN;
            services.migrations().put(underWay.get().with(phase));
        }
    }

    @Override
    public void sourceKnows() throws IOException {
        services.migrations().remove(guest.name());
    }
}
