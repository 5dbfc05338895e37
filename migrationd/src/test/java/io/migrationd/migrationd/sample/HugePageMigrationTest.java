package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.process.GuestListener;
import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.migrationd.guest.process.RecordingRegistry;
import io.migrationd.migrationd.incoming.IncomingMigration;
import io.migrationd.migrationd.incoming.IncomingRequest;
import io.migrationd.migrationd.incoming.IncomingStatus;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingRequest;
import io.migrationd.migrationd.outgoing.OutgoingStatus;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.migrationd.session.RecoverySettings;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.memory.RamBlock;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A whole migration of a running guest whose RAM is of 2 MiB pages, by postcopy, between two engines. */
@DisplayName("Postcopy of huge pages")
@Timeout(120)
class HugePageMigrationTest {
    private static final Duration SOON = Duration.ofSeconds(40);
    private static final int HUGE = 2 << 20;
    private static final Path POOL = Path.of("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    private static final int GUEST_PAGES = 8;
    private static int before;
    private static boolean reserved;

    @TempDir
    private Path directory;

    @BeforeAll
    static void reserve() throws Exception {
        List<String> missing = HostFeatures.probe()
                .missing(Set.of(HostFeature.WP_ASYNC, HostFeature.PAGEMAP_SCAN, HostFeature.MISSING_SHMEM));
        Assumptions.assumeTrue(missing.isEmpty(), () -> String.join(" ", missing));
        try {
            before = pool();
            Files.writeString(POOL, Integer.toString(before + 2 * GUEST_PAGES));
            reserved = true;
        } catch (IOException e) {
            Assumptions.abort("this host lets us reserve no huge pages: " + e.getMessage());
        }
        int got = pool() - before;
        Assumptions.assumeTrue(
                got >= 2 * GUEST_PAGES, "this host has %d huge pages for %d".formatted(got, 2 * GUEST_PAGES));
    }

    @AfterAll
    static void giveBack() throws IOException {
        if (reserved) {
            Files.writeString(POOL, Integer.toString(before));
        }
    }

    private static int pool() throws IOException {
        return Integer.parseInt(Files.readString(POOL).strip());
    }

    private static ProcessGuest attached(GuestListener listener) {
        return await().atMost(SOON)
                .until(
                        () -> listener.guests().stream()
                                .filter(ProcessGuest::isAttached)
                                .findFirst(),
                        Optional::isPresent)
                .orElseThrow();
    }

    private static GuestListener open(Path socket) throws Exception {
        return GuestListener.open(socket, new RecordingRegistry(), GuestListener.Limits.DEFAULT);
    }

    private static SampleProcess start(Path socket, String... more) throws Exception {
        String[] all = {
            "--ram", "16M", "--blocks", "2", "--threads", "2", "--zero-share", "0.25", "--rate", "2000", "--huge-pages"
        };
        String[] options = new String[all.length + more.length];
        System.arraycopy(all, 0, options, 0, all.length);
        System.arraycopy(more, 0, options, all.length, more.length);
        return new SampleProcess(socket, "web01", options);
    }

    private static long operations(ProcessGuest guest) {
        return guest.checkReport()
                .map(report -> ((Number) report.getOrDefault("operations", 0)).longValue())
                .orElse(0L);
    }

    @ParameterizedTest(name = "preempt: {0}")
    @ValueSource(booleans = {false, true})
    void guestRunsOnAndFindsEveryPage(boolean preempt) throws Exception {
        Set<Capability> capabilities = EnumSet.of(Capability.POSTCOPY_RAM);
        if (preempt) {
            capabilities.add(Capability.POSTCOPY_PREEMPT);
        }
        Path from = directory.resolve("a.sock");
        Path to = directory.resolve("b.sock");
        try (Links links = new Links(10_000, 10_000);
                GuestListener source = open(from);
                GuestListener destination = open(to);
                SampleProcess _ = start(from);
                SampleProcess _ = start(to, "--incoming", "--touch", "random")) {
            ProcessGuest leaving = attached(source);
            ProcessGuest arriving = attached(destination);
            assertThat(leaving.ram())
                    .filteredOn(block -> block.pageSizeBytes() == HUGE)
                    .hasSize(2);
            await().atMost(SOON).until(() -> operations(leaving) > 500);
            try (IncomingMigration incoming = IncomingMigration.listen(incoming(arriving, links, capabilities));
                    OutgoingMigration outgoing =
                            new OutgoingMigration(outgoing(leaving, incoming.uri(), links, capabilities))) {
                assertThat(outgoing.startPostcopy()).isEmpty();
                outgoing.start();
                await().atMost(SOON).until(() -> outgoing.status().isTerminal());
                assertThat(outgoing.status()).as(outgoing.info().toString()).isEqualTo(OutgoingStatus.COMPLETED);
                await().atMost(SOON).until(() -> incoming.status() == IncomingStatus.COMPLETED);
                assertThat(outgoing.info().postcopy()).isNotNull();
            }
            await().atMost(SOON)
                    .until(() -> arriving.checkReport()
                            .filter(report -> Boolean.TRUE.equals(report.get("verified")))
                            .isPresent());
            assertThat(arriving.checkReport().orElseThrow()).containsEntry("violations", 0);
            assertThat(arriving.ram().stream().map(RamBlock::pageSizeBytes)).contains(HUGE);
            long then = operations(arriving);
            await().atMost(SOON).until(() -> operations(arriving) > then);
        }
    }

    private IncomingRequest incoming(ProcessGuest guest, Links links, Set<Capability> capabilities) {
        return new IncomingRequest(
                "in",
                guest,
                MigrationUri.parse("unix:" + directory.resolve("m.sock")),
                links,
                capabilities,
                (name, event, data) -> {},
                10_000,
                1 << 20,
                RecoverySettings.DEFAULTS,
                () -> {});
    }

    private static OutgoingRequest outgoing(
            ProcessGuest guest, MigrationUri uri, Links links, Set<Capability> capabilities) {
        // What nobody waits for is slow, so that the guest has to ask.
        MigrationParameters slow = new MigrationParameters(
                128 << 20, 300, 0, 64 << 10, 50, 550, 5, 100, 4 << 20, PostcopyPolicy.MANUAL, 60_000);
        return new OutgoingRequest(
                "out",
                guest,
                uri,
                links,
                capabilities,
                () -> slow,
                (name, event, data) -> {},
                10_000,
                RecoverySettings.DEFAULTS,
                () -> {});
    }
}
