package io.migrationd.it.scenario;

import static io.migrationd.it.scenario.Scenario.DEADLINE;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.scenario.Scenario.Transport;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.PeerIdentity;
import io.migrationd.migrationd.link.session.PeerLinks;
import io.migrationd.migrationd.link.session.PeerServer;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.link.session.PeerSettings;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.RelayStatus.State;
import io.migrationd.migrationd.relay.RelayTaps;
import io.migrationd.migrationd.relay.StreamTap;
import io.migrationd.migrationd.relay.netty.Relays;
import io.migrationd.migrationd.sample.RamReport;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Two QEMUs, two relays, a session between them whose link is cut again and again: no QEMU may notice. */
@DisplayName("QEMU to QEMU through relays")
@ExtendWith(RealPeerReport.class)
@Timeout(180)
class RelaySessionIT {
    private static final long CUT_MILLIS = 170;
    private static final Duration RELAY_DEADLINE = Duration.ofSeconds(10);
    private static final PeerSettings SETTINGS =
            new PeerSettings(50, 300, 5, 50, PeerSettings.FOR_EVER, PeerSettings.DEFAULT.maxBufferBytes());
    private static final int SHUT_BYTES = 8;

    @TempDir
    private Path folder;

    static Stream<QemuBinary> qemus() {
        return QemuBinary.all().stream();
    }

    /** Links, proxy and relays of one move. */
    private static final class Carriage implements AutoCloseable {
        private final PeerLinks targetLinks;
        private final PeerLinks sourceLinks;
        private final LinkProxy proxy;
        private final PeerSession session;
        private final Path sourceSocket;
        private final Relay source;
        private final Relay target;
        private final ScheduledExecutorService breaker = Executors.newSingleThreadScheduledExecutor();
        private final AtomicInteger cuts = new AtomicInteger();
        /** The cut that was made when SHUT had been read and not been sent. */
        private final CompletableFuture<Boolean> cutAtShut = new CompletableFuture<>();

        private Carriage(Path folder, boolean preempt, Path destination) throws Exception {
            CompletableFuture<PeerSession> accepted = new CompletableFuture<>();
            targetLinks = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), SETTINGS, Optional.empty());
            PeerServer server = targetLinks.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::complete);
            int port = ((MigrationUri.Tcp) server.uri()).port();
            proxy = LinkProxy.start(
                    "relay",
                    new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
                    new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
            sourceLinks = new PeerLinks(new PeerIdentity("a", UUID.randomUUID()), SETTINGS, Optional.empty());
            session = sourceLinks.dial("b", List.of(MigrationUri.of(proxy.address())));
            PeerSession atTarget = accepted.get(10, TimeUnit.SECONDS);
            sourceSocket = folder.resolve("s");
            RelayPlan plan = RelayPlan.of(UUID.randomUUID(), sourceSocket).withConnections(preempt, 0);
            target = Relays.target(
                    atTarget,
                    plan.withAttempt(0, destination)
                            .withTaps(new RelayTaps(
                                    () -> StreamTap.NONE,
                                    () -> this::cutAtShut,
                                    () -> StreamTap.NONE,
                                    () -> StreamTap.NONE)));
            source = Relays.source(session, plan);
        }

        private void cutAtShut(ByteBuffer bytes) {
            int at = bytes.limit() - SHUT_BYTES;
            if (at >= bytes.position() && bytes.getLong(at) == 0x0001_0004_0000_0000L) {
                proxy.refuse();
                proxy.cut(Cut.RESET);
                cuts.incrementAndGet();
                var _ = breaker.schedule(proxy::heal, 500, TimeUnit.MILLISECONDS);
                cutAtShut.complete(source.status().state() == State.OPEN);
            }
        }

        /** From now on, in turn: reset, end of input, silence. */
        private void cutAgainAndAgain() {
            var _ = breaker.scheduleWithFixedDelay(this::cut, 5, CUT_MILLIS, TimeUnit.MILLISECONDS);
        }

        private void cut() {
            switch (cuts.getAndIncrement() % 3) {
                case 0 -> proxy.cut(Cut.RESET);
                case 1 -> proxy.cut(Cut.FIN);
                default -> {
                    proxy.cut(Cut.SILENCE);
                    var _ = breaker.schedule(proxy::heal, 2 * CUT_MILLIS, TimeUnit.MILLISECONDS);
                }
            }
        }

        private String uri() {
            return "unix:" + sourceSocket;
        }

        private void verifyEnded(int leastOutages) throws Exception {
            Await.until(
                    "both relays have ended",
                    RELAY_DEADLINE,
                    () -> source.status().state() == State.ENDED
                            && target.status().state() == State.ENDED,
                    () -> source.status() + " " + target.status());
            assertThat(cutAtShut).isCompletedWithValue(true);
            assertThat(session.health().outageCount()).isGreaterThanOrEqualTo(leastOutages);
        }

        private String facts() {
            return "%d cuts, %d outages, source %s, target %s"
                    .formatted(cuts.get(), session.health().outageCount(), source.status(), target.status());
        }

        @Override
        public void close() throws IOException {
            breaker.shutdownNow();
            source.close();
            target.close();
            sourceLinks.close();
            targetLinks.close();
            proxy.close();
        }
    }

    @ParameterizedTest(name = "precopy, {0} QEMU")
    @MethodSource("qemus")
    void precopyDoesNotNoticeCuts(QemuBinary qemu) throws Exception {
        Scenario scenario =
                new Scenario(qemu, qemu, "pc", Backend.PLAIN, 1, Transport.UNIX, Set.of("return-path"), Set.of());
        scenario.assumeBothQemus();
        Path incoming = folder.resolve("d");
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder);
                Carriage carriage = new Carriage(folder, false, incoming)) {
            destination.migration().incoming("unix:" + incoming);
            carriage.cutAgainAndAgain();
            scenario.migrateLive(source, carriage.uri());
            destination.migration().awaitStatus("completed", DEADLINE);
            carriage.verifyEnded(3);
            long ramBytes = scenario.guest().memoryBytes();
            RamReport report = scenario.guest().verify(destination.saveMemory("arrived", 0, ramBytes));
            assertThat(report.damage()).isEmpty();
            scenario.verifyRunsOn(source, destination, report);
            System.out.printf("precopy, %s QEMU: %s%n", qemu, carriage.facts());
        }
    }

    @ParameterizedTest(name = "postcopy with preempt, {0} QEMU")
    @MethodSource("qemus")
    void postcopyDoesNotNoticeCuts(QemuBinary qemu) throws Exception {
        PostcopyScenario scenario = PostcopyScenario.of(qemu, true, Backend.PLAIN, 1, Transport.UNIX);
        scenario.assumeQemu();
        Path incoming = folder.resolve("d");
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder);
                Carriage carriage = new Carriage(folder, true, incoming)) {
            scenario.enable(source.migration());
            scenario.enable(destination.migration());
            destination.migration().incoming("unix:" + incoming);
            int rounds = SerialLog.of(source.serial()).lastRound();
            carriage.cutAgainAndAgain();
            scenario.migrateByPostcopy(source.migration(), carriage.uri());
            destination.migration().awaitRunState("running", DEADLINE);
            int before = carriage.cuts.get();
            Await.until("five cuts in postcopy", DEADLINE, () -> carriage.cuts.get() >= before + 5, carriage::facts);
            assertThat(source.migration().status()).isEqualTo("postcopy-active");
            assertThat(destination.migration().status()).isEqualTo("postcopy-active");
            scenario.hurry(source.migration());
            destination.migration().awaitStatus("completed", DEADLINE);
            source.migration().awaitStatus("completed", DEADLINE);
            carriage.verifyEnded(5);
            assertThat(source.qmp().events().toString() + destination.qmp().events())
                    .doesNotContain("postcopy-paused");
            scenario.verifyRunsOn(source, destination, rounds);
            System.out.printf("postcopy, %s QEMU: %s%n", qemu, carriage.facts());
        }
    }
}
