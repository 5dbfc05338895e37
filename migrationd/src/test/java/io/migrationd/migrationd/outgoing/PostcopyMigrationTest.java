package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Outgoing postcopy")
class PostcopyMigrationTest {
    private static final int PAGES = 256;
    private static final long REPLY_TIMEOUT_MILLIS = 1_500;

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, 5_000);
    private final RecordedEvents events = new RecordedEvents();
    private MemoryGuest guest = new MemoryGuest("g");
    private volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;
    private RecoverySettings recovery = new RecoverySettings(true, 100, 2_000, 60_000);

    @BeforeEach
    void open() throws IOException {
        guest = new MemoryGuest("g").with("m0", PAGES);
        guest.randomize("m0", 7);
    }

    @AfterEach
    void close() {
        guest.close();
        links.close();
    }

    private PostcopyPeer peer(boolean preempt) throws IOException {
        return new PostcopyPeer(links, MigrationUri.parse("unix:" + directory.resolve("dst.sock")), preempt);
    }

    private OutgoingMigration migration(PostcopyPeer peer, Capability... more) {
        Set<Capability> capabilities = new HashSet<>(Set.of(more));
        capabilities.add(Capability.POSTCOPY_RAM);
        return new OutgoingMigration(new OutgoingRequest(
                "t",
                guest,
                peer.uri(),
                links,
                capabilities,
                () -> parameters,
                events,
                REPLY_TIMEOUT_MILLIS,
                recovery,
                () -> guest.calls.add("released in writing")));
    }

    private static void awaitEnd(OutgoingMigration migration) throws InterruptedException {
        assertThat(migration.awaitEnd(30_000))
                .as("ends, is %s", migration.status())
                .isTrue();
    }

    @Test
    void sendsAllInPostcopy() throws Exception {
        try (PostcopyPeer peer = peer(false)) {
            OutgoingMigration migration = migration(peer);
            assertThat(migration.startPostcopy()).isEmpty();
            migration.start();
            awaitEnd(migration);
            assertThat(peer.seen())
                    .containsExactly(
                            "connection 1",
                            "header test-1.0",
                            "OpenReturnPath",
                            "PING 1",
                            "ADVISE 1000 1000",
                            "START ram",
                            "DISCARD m0 0+256",
                            "PING 2",
                            "PACKAGED 188",
                            "LISTEN",
                            "FULL 2 cpu",
                            "FULL 3 globalstate",
                            "PING 3",
                            "PING 66",
                            "RUN",
                            "PING 4",
                            "PART",
                            "END",
                            "PING 69",
                            "EOF",
                            "end of connection");
            assertThat(migration.info().status()).isEqualTo("completed");
            assertThat(peer.contents("m0")).isEqualTo(guest.contents("m0"));
        }
    }
}
