package io.migrationd.migrationd.incoming;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** An incoming migration with everything around it, as the daemon would make it. */
public final class Destination implements AutoCloseable {
    /** What it announced. */
    public final RecordedEvents events = new RecordedEvents();

    private final IncomingMigration migration;

    /** Listens on a socket in {@code directory}; whole streams are accepted. */
    public Destination(Links links, Guest guest, Path directory, Set<Capability> capabilities) throws IOException {
        this(links, guest, MigrationUri.parse("unix:" + directory.resolve("in.sock")), capabilities, 10_000, () -> {});
    }

    /** Listens anywhere. */
    public Destination(
            Links links,
            Guest guest,
            MigrationUri uri,
            Set<Capability> capabilities,
            long peerSilenceMillis,
            IncomingRequest.Acceptance acceptance)
            throws IOException {
        migration = IncomingMigration.listen(new IncomingRequest(
                "t",
                guest,
                uri,
                links,
                capabilities,
                events,
                peerSilenceMillis,
                1 << 20,
                RecoverySettings.DEFAULTS,
                acceptance));
    }

    /** Where it listens. */
    public MigrationUri uri() {
        return migration.uri();
    }

    /** The migration itself. */
    public IncomingMigration migration() {
        return migration;
    }

    /** Waits until it is over, its thread too. */
    public Destination awaitEnd() throws InterruptedException {
        await().pollDelay(Duration.ZERO)
                .pollInterval(Duration.ofMillis(2))
                .until(() -> migration.status().isTerminal());
        assertThat(migration.awaitEnd(10_000)).as("loading thread has ended").isTrue();
        return this;
    }

    /** QEMU's name of the status. */
    public @Nullable String status() {
        return migration.info().status();
    }

    /** What query-migrate says of a failure. */
    public @Nullable String error() {
        return migration.info().errorDesc();
    }

    @Override
    public void close() {
        migration.close();
    }
}
