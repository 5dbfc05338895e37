package io.migrationd.it.scenario;

import static io.migrationd.it.scenario.SamplePair.DEADLINE;
import static io.migrationd.it.scenario.SamplePair.MEBIBYTE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A guest that writes all the time and checks every page moves between two daemons, or stays where it is. */
@DisplayName("Daemon to daemon")
@Timeout(300)
class DaemonToDaemonIT {
    private static final long DOWNTIME_LIMIT_MILLIS = 1000;

    /**
     * What the limit does not count: stop, device state, acknowledgement, and processes that wait for one of few cores.
     */
    private static final long DOWNTIME_SLACK_MILLIS = 1000;

    private static final long SLOW_BYTES_PER_SECOND = 20 * MEBIBYTE;

    /** Far into the first pass of a guest of 128 MiB. */
    private static final long MID_WAY = 40 * MEBIBYTE;

    @TempDir
    private Path folder;

    @FunctionalInterface
    private interface Steps {
        void run(SamplePair pair) throws Exception;
    }

    enum Phase {
        SETUP,
        ACTIVE,
        PRE_SWITCHOVER,
        DEVICE
    }

    /** Runs {@code steps} and adds all logs to a failure. */
    private static void with(SamplePair started, Steps steps) throws Exception {
        try (SamplePair pair = started) {
            try {
                steps.run(pair);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(e.getMessage() + "\n" + pair.facts(), e);
            }
        }
    }

    private String listenUri(String transport) {
        return transport.equals("unix") ? "unix:" + folder.resolve("m.sock") : "tcp:127.0.0.1:0";
    }

    @ParameterizedTest(name = "{0}, {1}, {2} writes per second")
    @CsvSource({"tcp, 1G, 20000", "unix, 256M, 20000"})
    void heavyWriterMovesWithinDowntimeLimit(String transport, String ram, String rate) throws Exception {
        with(SamplePair.start(folder, "--ram", ram, "--rate", rate, "--threads", "2"), pair -> {
            pair.out().set(Map.of("downtime-limit", DOWNTIME_LIMIT_MILLIS));
            pair.migrateWell(listenUri(transport));

            JsonNode info = pair.out().info();
            say("%s %s at %s writes/s: downtime %s ms of %d, total %s ms, %s passes, %s MiB sent"
                    .formatted(
                            transport,
                            ram,
                            rate,
                            info.path("downtime"),
                            DOWNTIME_LIMIT_MILLIS,
                            info.path("total-time"),
                            info.path("ram").path("dirty-sync-count"),
                            info.path("ram").path("transferred").asLong() / MEBIBYTE));
            assertThat(info.path("downtime").asLong(-1))
                    .as("downtime in %s", info)
                    .isBetween(0L, DOWNTIME_LIMIT_MILLIS + DOWNTIME_SLACK_MILLIS);
            assertThatThrownBy(pair.out()::cont)
                    .isInstanceOf(QmpException.class)
                    .hasMessageContaining("was given to")
                    .hasMessageContaining("would run it twice");
        });
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void bothDaemonsKeepAReport(boolean postcopy) throws Exception {
        with(SamplePair.start(folder, "--ram", "64M", "--rate", "5000"), pair -> {
            if (postcopy) {
                pair.out().enable("postcopy-ram");
                pair.in().enable("postcopy-ram");
                pair.leaving().awaitWrites(pair.source());
                pair.out().set(Map.of("max-bandwidth", SLOW_BYTES_PER_SECOND));
                pair.out().migrate(pair.in().incoming(listenUri("tcp")));
                pair.awaitSent(MEBIBYTE);
                pair.out().execute("migrate-start-postcopy", Map.of());
                pair.out().awaitStatus("completed", DEADLINE);
                pair.in().awaitStatus("completed", DEADLINE);
            } else {
                pair.migrateWell(listenUri("tcp"));
            }
            JsonNode sent = report(pair.source());
            JsonNode came = report(pair.destination());
            String mode = postcopy ? "postcopy" : "precopy";
            for (JsonNode report : List.of(sent, came)) {
                assertThat(report.path("mode").asText()).isEqualTo(mode);
                assertThat(report.path("outcome").asText()).isEqualTo("moved");
                assertThat(report.path("total-millis").asLong()).isPositive();
            }
            assertThat(sent.path("id").asText()).startsWith("source-");
            assertThat(came.path("id").asText()).startsWith("destination-");
            if (postcopy) {
                JsonNode atSource = pair.out().info().path("postcopy");
                assertThat(sent.path("postcopy").path("background-pages").asLong())
                        .isEqualTo(atSource.path("background-pages").asLong())
                        .isPositive();
                assertThat(came.path("postcopy").path("fault-buckets").size()).isPositive();
                assertThat(came.path("postcopy").path("thread-blocktime-millis").size())
                        .isPositive();
            }
        });
    }

    /** As {@code migrationctl report} asks for it. */
    private static JsonNode report(DaemonProcess daemon) throws Exception {
        Await.until(
                "a report",
                DEADLINE,
                () -> !daemon.qmp().execute("report-list", Map.of()).isEmpty(),
                () -> "none");
        JsonNode shown = daemon.qmp().execute("report-show", Map.of("id", SamplePair.GUEST));
        assertThat(shown.path("text").size()).isPositive();
        return shown.path("report");
    }

    @Test
    void guestThatWritesFasterThanTheLinkIsNotStoppedUntilLimitsAreRaised() throws Exception {
        with(SamplePair.start(folder, "--ram", "64M", "--rate", "20000"), pair -> {
            long before = pair.leaving().awaitWrites(pair.source()).operations();
            pair.out().set(Map.of("max-bandwidth", SLOW_BYTES_PER_SECOND, "downtime-limit", 50));
            pair.out().migrate(pair.in().incoming(listenUri("tcp")));
            pair.out().awaitPasses(4, DEADLINE);
            assertThat(pair.out().status()).isEqualTo("active");
            assertThat(pair.out().runState()).isEqualTo("running");
            assertThat(pair.source().qmp().events())
                    .noneMatch(event -> event.path("event").asText().equals("STOP"));

            pair.out().set(Map.of("max-bandwidth", 0, "downtime-limit", DOWNTIME_LIMIT_MILLIS));
            pair.out().awaitStatus("completed", DEADLINE);
            pair.verifyMoved(before);
        });
    }

    @ParameterizedTest
    @EnumSource
    void cancelledGuestRunsOnAndCanMoveLater(Phase phase) throws Exception {
        with(SamplePair.start(folder, "--ram", "128M", "--rate", "5000"), pair -> {
            pair.leaving().awaitWrites(pair.source());
            switch (phase) {
                case SETUP -> cancelInSetup(pair);
                case ACTIVE -> cancelActive(pair);
                case PRE_SWITCHOVER -> cancelAtGate(pair);
                case DEVICE -> cancelBeforeDestinationAnswers(pair);
            }
            pair.out().awaitStatus("cancelled", DEADLINE);
            pair.verifyStayed();

            pair.out().set(Map.of("max-bandwidth", 0));
            setGate(pair, false);
            pair.migrateWell(listenUri("tcp"));
        });
    }

    private static void cancelInSetup(SamplePair pair) throws Exception {
        try (UnansweredPort port = new UnansweredPort()) {
            pair.out().migrate(port.uri());
            assertThat(pair.out().status()).isEqualTo("setup");
            cancel(pair);
            pair.out().awaitStatus("cancelled", DEADLINE);
        }
    }

    private void cancelActive(SamplePair pair) throws Exception {
        pair.out().set(Map.of("max-bandwidth", SLOW_BYTES_PER_SECOND));
        pair.out().migrate(pair.in().incoming(listenUri("tcp")));
        pair.awaitSent(MID_WAY);
        assertThat(pair.out().status()).isEqualTo("active");
        cancel(pair);
    }

    private void cancelAtGate(SamplePair pair) throws Exception {
        setGate(pair, true);
        pair.out().migrate(pair.in().incoming(listenUri("tcp")));
        pair.out().awaitStatus("pre-switchover", DEADLINE);
        assertThat(pair.out().runState()).isNotEqualTo("running");
        cancel(pair);
    }

    /** The destination holds the whole guest, but its word does not come through. */
    private void cancelBeforeDestinationAnswers(SamplePair pair) throws Exception {
        setGate(pair, true);
        try (LinkProxy link = link(pair.in().incoming(listenUri("tcp")))) {
            pair.out().migrate(uri(link));
            pair.out().awaitStatus("pre-switchover", DEADLINE);
            link.cut(Cut.SILENCE_REVERSE);
            pair.out().execute("migrate-continue", Map.of("state", "pre-switchover"));
            pair.out().awaitStatus("device", DEADLINE);
            assertThat(pair.in().runState()).isEqualTo("inmigrate");
            cancel(pair);
            pair.out().awaitStatus("cancelled", DEADLINE);
        }
    }

    private static void cancel(SamplePair pair) throws Exception {
        pair.out().execute("migrate_cancel", Map.of());
    }

    private static void setGate(SamplePair pair, boolean on) throws Exception {
        pair.out()
                .execute(
                        "migrate-set-capabilities",
                        Map.of("capabilities", List.of(Map.of("capability", "pause-before-switchover", "state", on))));
    }

    @Test
    void guestOutlivesDaemonOfItsDestination() throws Exception {
        with(SamplePair.start(folder, "--ram", "128M", "--rate", "5000"), pair -> {
            startSlowly(pair);
            pair.killDestinationDaemon();
            assertFailedAtSource(pair);
            pair.verifyRunsAtSource();

            pair.restartDestinationDaemon();
            pair.out().set(Map.of("max-bandwidth", 0));
            pair.migrateWell(listenUri("tcp"));
        });
    }

    @Test
    void guestOutlivesProcessThatWasToTakeIt() throws Exception {
        with(SamplePair.start(folder, "--ram", "128M", "--rate", "5000"), pair -> {
            startSlowly(pair);
            pair.killArrivingGuest();
            assertFailedAtSource(pair);
            pair.verifyRunsAtSource();

            pair.restartArrivingGuest();
            pair.out().set(Map.of("max-bandwidth", 0));
            pair.migrateWell(listenUri("tcp"));
        });
    }

    private void startSlowly(SamplePair pair) throws Exception {
        pair.leaving().awaitWrites(pair.source());
        pair.out().set(Map.of("max-bandwidth", SLOW_BYTES_PER_SECOND));
        pair.out().migrate(pair.in().incoming(listenUri("tcp")));
        pair.awaitSent(MID_WAY);
        assertThat(pair.out().status()).isEqualTo("active");
    }

    /**
     * A PONG has 8 bytes. The second one says that all is loaded: its first byte passes, and the last byte of the
     * stream never leaves.
     */
    @ParameterizedTest(name = "{0} {1} after {2} bytes {3}")
    @CsvSource({
        "tcp, RESET, 1, FORWARD",
        "tcp, RESET, 41943040, FORWARD",
        "tcp, FIN, 41943040, FORWARD",
        "unix, RESET, 41943040, FORWARD",
        "tcp, RESET, 9, REVERSE",
        "tcp, FIN, 9, REVERSE",
    })
    void guestOutlivesLinkAndMovesOverTheNext(String transport, Cut cut, long bytes, Direction direction)
            throws Exception {
        with(SamplePair.start(folder, "--ram", "128M", "--rate", "5000"), pair -> {
            pair.leaving().awaitWrites(pair.source());
            try (LinkProxy link = link(pair.in().incoming(listenUri(transport)))) {
                var done = link.cutAfter(direction, bytes, cut);
                pair.out().migrate(uri(link));
                assertFailedAtSource(pair);
                assertThat(done).isCompleted();
                pair.verifyStayed();
            }
            assertThat(pair.in().status()).isEqualTo("failed");
            pair.migrateWell(listenUri(transport));
        });
    }

    private static void assertFailedAtSource(SamplePair pair) throws Exception {
        pair.out().awaitStatus("failed", DEADLINE);
        String reason = pair.out().info().path("error-desc").asText();
        say("failed at the source: " + reason);
        assertThat(reason).isNotBlank();
    }

    private LinkProxy link(String uri) throws IOException {
        boolean unix = uri.startsWith("unix:");
        SocketAddress listen = unix
                ? UnixDomainSocketAddress.of(folder.resolve("p.sock"))
                : new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        SocketAddress target = unix
                ? UnixDomainSocketAddress.of(uri.substring("unix:".length()))
                : new InetSocketAddress(
                        InetAddress.getLoopbackAddress(), Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)));
        return LinkProxy.start("d2d", listen, target);
    }

    private static String uri(LinkProxy link) {
        return switch (link.address()) {
            case UnixDomainSocketAddress unix -> "unix:" + unix.getPath();
            case InetSocketAddress tcp -> "tcp:127.0.0.1:" + tcp.getPort();
            default -> throw new IllegalStateException("no URI for " + link.address());
        };
    }

    @Test
    void fullDiskOfParkedGuestFailsTheMigrationAndLeavesNothing() throws Exception {
        Path state = Files.createDirectories(folder.resolve("d/state"));
        assumeTrue(mounted(state), "mounting a small tmpfs is not permitted here");
        try {
            with(SamplePair.start(folder, "--ram", "128M", "--rate", "20000"), pair -> {
                pair.leaving()
                        .awaitCheck(pair.source(), "most pages written", check -> check.operations() > 2 * 128 * 256);
                MigrationControl parked = pair.destination().park("vault");
                pair.out().migrate(parked.incoming(listenUri("tcp")));
                assertFailedAtSource(pair);
                parked.awaitStatus("failed", DEADLINE);
                say("failed at the full destination: "
                        + parked.info().path("error-desc").asText());
                assertThat(parked.info().path("error-desc").asText()).containsAnyOf("ENOSPC", "No space left");
                pair.verifyRunsAtSource();
                assertThat(files(pair.destination().parkedRamFolder("vault"))).isEmpty();
                assertThat(parked.runState()).isEqualTo("inmigrate");
            });
        } finally {
            run("umount", state.toString());
        }
    }

    private static boolean mounted(Path point) throws IOException, InterruptedException {
        return run("mount", "-t", "tmpfs", "-o", "size=64m", "migrationd-it", point.toString()) == 0;
    }

    private static int run(String... command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        if (!output.isEmpty()) {
            say(command[0] + ": " + output);
        }
        return process.waitFor();
    }

    private static List<Path> files(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(directory)) {
            return all.toList();
        }
    }

    @Test
    void corruptPageIsFoundAtTheDestination() throws Exception {
        with(SamplePair.start(folder, List.of("--corrupt-page", "77"), "--ram", "4M", "--rate", "2000"), pair -> {
            pair.leaving().awaitCheck(pair.source(), "violation at the source", check -> check.violations() > 0);
            pair.out().migrate(pair.in().incoming(listenUri("tcp")));
            pair.out().awaitStatus("completed", DEADLINE);
            assertThat(pair.arriving()
                            .awaitCheck(
                                    pair.destination(), "violation at the destination", check -> check.violations() > 0)
                            .firstViolations())
                    .contains("page 77");
        });
    }

    @Test
    void parkedGuestSurvivesItsDaemonAndRunsOn() throws Exception {
        with(SamplePair.start(folder, "--ram", "128M", "--rate", "5000"), pair -> {
            long before = pair.leaving().awaitWrites(pair.source()).operations();
            MigrationControl parked = pair.destination().park("vault");
            pair.out().migrate(parked.incoming(listenUri("tcp")));
            pair.out().awaitStatus("completed", DEADLINE);
            parked.awaitStatus("completed", DEADLINE);

            pair.killDestinationDaemon();
            pair.restartDestinationDaemon();
            MigrationControl found = MigrationControl.of(pair.destination().qmp(), "vault");
            Await.until("parked guest is back", DEADLINE, () -> found.runState().equals("paused"), found::info);
            found.enable("return-path");
            found.migrate(pair.in().incoming(listenUri("tcp")));
            found.awaitStatus("completed", DEADLINE);
            pair.verifyMoved(before);
            assertThat(found.runState()).isEqualTo("postmigrate");
        });
    }

    @SuppressWarnings("SystemOut") // The numbers are for the log of the build.
    private static void say(String line) {
        System.out.println("daemon to daemon: " + line);
    }
}
