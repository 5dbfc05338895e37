package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;

/** A guest of 1 MiB, a link, and migrations that go over to postcopy before their first page. */
abstract class PostcopyFixture {
    static final int PAGES = 256;
    static final long REPLY_TIMEOUT_MILLIS = 1_500;

    @TempDir
    Path directory;

    final Links links = new Links(5_000, 5_000);
    final RecordedEvents events = new RecordedEvents();
    MemoryGuest guest = new MemoryGuest("g");
    volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;
    RecoverySettings recovery = new RecoverySettings(true, 100, 2_000, 60_000);
    /** What is given up, taken back and ended, in {@link MemoryGuest#calls}. */
    volatile OutgoingRequest.Release release = new NotedRelease();

    class NotedRelease implements OutgoingRequest.Release {
        @Override
        public void write() {
            guest.calls.add("released in writing");
        }

        @Override
        public void writeForPostcopy() throws IOException {
            guest.calls.add("released for postcopy");
        }

        @Override
        public void takeBack() throws IOException {
            guest.calls.add("taken back");
        }

        @Override
        public void postcopyEnded() {
            guest.calls.add("postcopy ended");
        }
    }

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

    PostcopyPeer peer() throws IOException {
        return new PostcopyPeer(links, unix("dst.sock"), false);
    }

    PostcopyPeer preemptingPeer() throws IOException {
        return new PostcopyPeer(links, unix("dst.sock"), true);
    }

    MigrationUri unix(String name) {
        return MigrationUri.parse("unix:" + directory.resolve(name));
    }

    OutgoingMigration migration(PostcopyPeer peer, Capability... more) {
        return new OutgoingMigration(request(guest, peer, events, more));
    }

    OutgoingRequest request(Guest of, PostcopyPeer peer, EventSink sink, Capability... more) {
        Set<Capability> capabilities = new HashSet<>(Set.of(more));
        capabilities.add(Capability.POSTCOPY_RAM);
        return new OutgoingRequest(
                "t",
                of,
                peer.uri(),
                links,
                capabilities,
                () -> parameters,
                sink,
                REPLY_TIMEOUT_MILLIS,
                recovery,
                release);
    }

    /** Goes over to postcopy at once. */
    OutgoingMigration started(PostcopyPeer peer, Capability... more) {
        OutgoingMigration migration = migration(peer, more);
        assertThat(migration.startPostcopy()).isEmpty();
        migration.start();
        return migration;
    }

    /** What nobody waits for crawls: a first run of pages, and then nothing for a second. */
    void crawl() {
        parameters = with(64 << 10, PostcopyPolicy.MANUAL, 60_000);
    }

    void hurry(OutgoingMigration migration) {
        parameters = MigrationParameters.DEFAULTS;
        migration.parametersChanged();
    }

    static MigrationParameters with(long maxPostcopyBandwidth, PostcopyPolicy policy, long budgetMillis) {
        return new MigrationParameters(
                128 << 20, 0, 0, 64 << 10, 50, 550, 5, 100, maxPostcopyBandwidth, policy, budgetMillis);
    }

    static void awaitEnd(OutgoingMigration migration) throws InterruptedException {
        assertThat(migration.awaitEnd(20_000))
                .as("ends, is %s: %s", migration.status(), migration.info().errorDesc())
                .isTrue();
    }

    static void awaitStatus(OutgoingMigration migration, OutgoingStatus status) {
        await().atMost(10, TimeUnit.SECONDS)
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .untilAsserted(() -> assertThat(migration.status()).isEqualTo(status));
    }

    static void awaitTrue(Callable<Boolean> condition) {
        await().atMost(10, TimeUnit.SECONDS)
                .pollInterval(5, TimeUnit.MILLISECONDS)
                .until(condition);
    }

    void assertCompleted(OutgoingMigration migration, PostcopyPeer peer) throws Exception {
        awaitEnd(migration);
        assertThat(migration.info().status()).isEqualTo("completed");
        assertThat(migration.info().errorDesc()).isNull();
        assertThat(migration.isReleased()).isTrue();
        assertThat(migration.isBusy()).isFalse();
        assertThat(peer.contents("m0")).isEqualTo(guest.contents("m0"));
        assertThat(guest.runState()).isEqualTo(RunState.POSTMIGRATE);
        assertThat(guest.calls).contains("release", "postcopy ended").doesNotContain("resume after failure");
        assertNoThreads();
    }

    /** Before the release, or taken back. */
    void assertRunsHere(OutgoingMigration migration, String error) throws InterruptedException {
        awaitEnd(migration);
        assertThat(migration.info().status()).isEqualTo("failed");
        assertThat(migration.info().errorDesc()).contains(error);
        assertThat(migration.isReleased()).isFalse();
        assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        assertThat(guest.calls).doesNotContain("release");
        assertNoThreads();
    }

    private static void assertNoThreads() {
        awaitTrue(() -> Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .noneMatch(name -> name.startsWith("mig-")));
    }
}
