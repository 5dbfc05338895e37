package io.migrationd.it.scenario;

import static io.migrationd.it.scenario.Scenario.DEADLINE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.scenario.Scenario.Transport;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.rescue.Drain;
import io.migrationd.migrationd.rescue.DrainedCopy;
import io.migrationd.migrationd.rescue.Evidence;
import io.migrationd.migrationd.rescue.KeptParts;
import io.migrationd.migrationd.rescue.Replace;
import io.migrationd.migrationd.rescue.RescueLimits;
import io.migrationd.migrationd.rescue.RescueRefusedException;
import io.migrationd.migrationd.rescue.RescueRequest;
import io.migrationd.migrationd.rescue.RescueState;
import io.migrationd.migrationd.rescue.RescueStatus;
import io.migrationd.migrationd.rescue.Serve;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnixDomainSocketAddress;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What QEMU itself calls lost: a source that is gone, a destination that died, with the other half paused. */
@DisplayName("Rescue of a real QEMU")
@ExtendWith(RealPeerReport.class)
@Timeout(180)
@SuppressWarnings("try") // A test may be interrupted while it ends.
class RescueIT {
    private static final QemuBinary SYSTEM = QemuBinary.system();
    private static final QemuBinary NEWER = QemuBinary.newer();
    private static final long END_MILLIS = 60_000;
    private static final long BUDGET_BYTES = 1L << 30;
    private static final long MEBIBYTE = 1 << 20;

    @TempDir
    private Path folder;

    private final Links links = new Links(2_000, 60_000);
    private final RamBudget budget = new RamBudget(BUDGET_BYTES);

    @AfterEach
    void closeLinks() {
        links.close();
    }

    static Stream<PostcopyScenario> peers() {
        return Stream.of(
                PostcopyScenario.of(SYSTEM, false, Backend.PLAIN, 1, Transport.UNIX),
                PostcopyScenario.of(SYSTEM, true, Backend.RAM, 2, Transport.UNIX),
                PostcopyScenario.of(NEWER, false, Backend.MEMFD, 2, Transport.UNIX),
                PostcopyScenario.of(NEWER, true, Backend.PLAIN, 1, Transport.UNIX));
    }

    /** The destination runs and waits for pages; its source is drained, killed, and stood in for. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("peers")
    void destinationRunsOnWithoutItsSource(PostcopyScenario scenario) throws Exception {
        scenario.assumeQemu();
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder)) {
            KeptParts parts = pauseBoth(scenario, source, destination);
            int rounds = SerialLog.of(source.serial()).lastRound();
            try (DrainedCopy copy = DrainedCopy.create("web01", folder.resolve("copy"), parts, budget)) {
                drain(scenario, source, copy);
                source.kill();
                assertThat(source.isAlive()).isFalse();
                serve(scenario, destination, copy);
                scenario.verifyRunsOn(source, destination, rounds);
            }
        }
    }

    /** The same over links that break in the middle, with another process in between. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("peers")
    void drainAndServeBearBreaks(PostcopyScenario scenario) throws Exception {
        scenario.assumeQemu();
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder)) {
            KeptParts parts = pauseBoth(scenario, source, destination);
            int rounds = SerialLog.of(source.serial()).lastRound();
            try (DrainedCopy copy = DrainedCopy.create("web01", folder.resolve("copy"), parts, budget)) {
                breakDrain(scenario, source, copy);
            }
            try (DrainedCopy copy = DrainedCopy.open("web01", folder.resolve("copy"), budget)) {
                assertThat(copy.state()).isEqualTo(DrainedCopy.State.PARTIAL);
                drain(scenario, source, copy);
                source.kill();
                serveOverBrokenLink(scenario, destination, copy);
                scenario.verifyRunsOn(source, destination, rounds);
            }
        }
    }

    private KeptParts pauseBoth(PostcopyScenario scenario, QemuProcess source, QemuProcess destination)
            throws Exception {
        try (RecordingRelay relay = relayTo(destination, scenario)) {
            begin(scenario, source, relay);
            destination.migration().awaitStatus("postcopy-active", DEADLINE);
            int rounds = SerialLog.of(source.serial()).lastRound();
            Scenario.awaitRound(SerialLog.of(source.serial(), destination.serial()), rounds + 2);
            KeptParts parts = relay.parts().orElseThrow();
            relay.cut();
            source.migration().awaitStatus("postcopy-paused", DEADLINE);
            destination.migration().awaitStatus("postcopy-paused", DEADLINE);
            return parts;
        }
    }

    private void breakDrain(PostcopyScenario scenario, QemuProcess source, DrainedCopy copy) throws Exception {
        try (Drain drain = Drain.listen(request(copy, "unix:" + folder.resolve("x.mig"), scenario));
                LinkProxy link = breakingLinkTo(drain.uri().toString())) {
            source.migration().resume(uriOf(link));
            Await.until("the break", DEADLINE, () -> drain.status().state() == RescueState.PAUSED, drain::status);
            source.migration().awaitStatus("postcopy-paused", DEADLINE);
            assertThat(drain.status().donePages())
                    .isPositive()
                    .isLessThan(drain.status().totalPages());
            assertThat(drain.status().inDoubt()).isFalse();
        }
    }

    /** Breaks once, when a part of the guest's RAM has passed. */
    private static LinkProxy breakingLinkTo(String uri) throws IOException {
        UnixDomainSocketAddress target = UnixDomainSocketAddress.of(uri.substring("unix:".length()));
        LinkProxy link = LinkProxy.start("peers", new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), target);
        var _ = link.cutAfter(Direction.FORWARD, MEBIBYTE, Cut.RESET);
        return link;
    }

    private static String uriOf(LinkProxy link) {
        return "tcp:127.0.0.1:" + ((InetSocketAddress) link.address()).getPort();
    }

    private void serveOverBrokenLink(PostcopyScenario scenario, QemuProcess destination, DrainedCopy copy)
            throws Exception {
        String first = "unix:" + folder.resolve("y1.mig");
        destination.migration().recover(first);
        // Behind the handshake: a QEMU 7.2 does not survive a break in it.
        try (LinkProxy link = breakingLinkTo(first);
                Serve serve = Serve.start(request(copy, uriOf(link), scenario))) {
            assertThat(serve.awaitEnd(END_MILLIS)).as("%s", serve.status()).isTrue();
            assertThat(serve.status().state()).isEqualTo(RescueState.PAUSED);
            destination.migration().awaitStatus("postcopy-paused", DEADLINE);
            String second = "unix:" + folder.resolve("y2.mig");
            destination.migration().recover(second);
            serve.retry(MigrationUri.parse(second));
            assertThat(serve.awaitEnd(END_MILLIS)).as("%s", serve.status()).isTrue();
            assertThat(serve.status()).isEqualTo(done(copy));
        }
        destination.migration().awaitStatus("completed", DEADLINE);
    }

    /** The package was sent and nobody has read it: the guest runs in a QEMU that has never heard of its source. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("peers")
    void deadDestinationIsReplaced(PostcopyScenario scenario) throws Exception {
        scenario.assumeQemu();
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder)) {
            KeptParts parts = killDestinationBeforeItRuns(scenario, source, destination);
            int rounds = SerialLog.of(source.serial()).lastRound();
            try (DrainedCopy copy = DrainedCopy.create("web01", folder.resolve("copy"), parts, budget)) {
                drain(scenario, source, copy);
                source.kill();
                try (QemuProcess fresh = scenario.startFresh(folder, "c")) {
                    String uri = fresh.migration().incoming("unix:" + folder.resolve("c.mig"));
                    try (Replace replace = Replace.start(request(copy, uri, scenario), Evidence.NONE, () -> {})) {
                        assertThat(replace.awaitEnd(END_MILLIS)).isTrue();
                        assertThat(replace.status()).isEqualTo(done(copy));
                    }
                    fresh.migration().awaitStatus("completed", DEADLINE);
                    assertThat(fresh.migration().runState()).isNotEqualTo("running");
                    assertThat(copy.state()).isEqualTo(DrainedCopy.State.USED);
                    fresh.migration().cont();
                    scenario.verifyRunsOn(source, fresh, rounds);
                }
            }
        }
    }

    private KeptParts killDestinationBeforeItRuns(
            PostcopyScenario scenario, QemuProcess source, QemuProcess destination) throws Exception {
        try (RecordingRelay relay = relayTo(destination, scenario)) {
            source.migration().set(Map.of("max-bandwidth", 1_500_000, "max-postcopy-bandwidth", 1_500_000));
            scenario.enable(source.migration());
            source.migration().migrate(relay.uri());
            source.migration().awaitStatus("active", DEADLINE);
            source.migration().stop();
            relay.hold();
            source.migration().startPostcopy();
            source.migration().awaitStatus("postcopy-active", DEADLINE);
            Await.until("the package", DEADLINE, () -> relay.parts().isPresent(), () -> relay.recorded().length);
            assertThat(destination.migration().runState()).isNotEqualTo("running");
            destination.kill();
            relay.cut();
            source.migration().awaitStatus("postcopy-paused", DEADLINE);
            return relay.parts().orElseThrow();
        }
    }

    /** Its monitor has shown it running: the copy must not run. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("peers")
    void destinationThatRanIsNotReplaced(PostcopyScenario scenario) throws Exception {
        scenario.assumeQemu();
        try (QemuProcess source = scenario.startSource(folder);
                QemuProcess destination = scenario.startDestination(folder);
                RecordingRelay relay = relayTo(destination, scenario)) {
            begin(scenario, source, relay);
            destination.migration().awaitRunState("running", DEADLINE);
            KeptParts parts = relay.parts().orElseThrow();
            destination.kill();
            relay.cut();
            source.migration().awaitStatus("postcopy-paused", DEADLINE);
            try (DrainedCopy copy = DrainedCopy.create("web01", folder.resolve("copy"), parts, budget)) {
                drain(scenario, source, copy);
                RescueRequest request = request(copy, "unix:" + folder.resolve("nobody"), scenario);
                assertThatThrownBy(() -> Replace.start(request, new Evidence(true, false, true, true, false), () -> {})
                                .close())
                        .isInstanceOf(RescueRefusedException.class)
                        .hasMessageContaining("PONG 3")
                        .hasMessageContaining("asked for pages")
                        .hasMessageContaining("seen running");
                assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
                assertThat(source.migration().runState()).isNotEqualTo("running");
            }
        }
    }

    private RecordingRelay relayTo(QemuProcess destination, PostcopyScenario scenario) throws Exception {
        scenario.enable(destination.migration());
        Path target = folder.resolve("b.mig");
        destination.migration().incoming("unix:" + target);
        return RecordingRelay.start(folder.resolve("relay.mig"), target);
    }

    /** Into postcopy, with a source that never runs again by itself. */
    private static void begin(PostcopyScenario scenario, QemuProcess source, RecordingRelay relay) throws Exception {
        scenario.enable(source.migration());
        source.migration().set(Map.of("max-bandwidth", 1_500_000, "max-postcopy-bandwidth", 1_500_000));
        source.migration().migrate(relay.uri());
        source.migration().awaitStatus("active", DEADLINE);
        source.migration().stop();
        source.migration().startPostcopy();
        source.migration().awaitStatus("postcopy-active", DEADLINE);
    }

    private void drain(PostcopyScenario scenario, QemuProcess source, DrainedCopy copy) throws Exception {
        source.migration().set(Map.of("max-postcopy-bandwidth", 0));
        try (Drain drain = Drain.listen(request(copy, "unix:" + folder.resolve("x.mig"), scenario))) {
            source.migration().resume(drain.uri().toString());
            assertThat(drain.awaitEnd(END_MILLIS)).as("%s", drain.status()).isTrue();
            source.migration().awaitStatus("completed", DEADLINE);
            source.migration().awaitRunState("postmigrate", DEADLINE);
            assertThat(drain.awaitSourceReleased(END_MILLIS)).isTrue();
            assertThat(drain.status()).isEqualTo(done(copy));
        }
        assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
    }

    private void serve(PostcopyScenario scenario, QemuProcess destination, DrainedCopy copy) throws Exception {
        String uri = "unix:" + folder.resolve("y.mig");
        destination.migration().recover(uri);
        try (Serve serve = Serve.start(request(copy, uri, scenario))) {
            assertThat(serve.awaitEnd(END_MILLIS)).as("%s", serve.status()).isTrue();
            assertThat(serve.status()).isEqualTo(done(copy));
        }
        destination.migration().awaitStatus("completed", DEADLINE);
        assertThat(copy.state()).isEqualTo(DrainedCopy.State.USED);
    }

    private static RescueStatus done(DrainedCopy copy) {
        long pages = copy.totalBytes() / 4096;
        return new RescueStatus(RescueState.COMPLETED, pages, pages, Optional.empty(), false);
    }

    private RescueRequest request(DrainedCopy copy, String uri, PostcopyScenario scenario) {
        return new RescueRequest(
                "rescue",
                copy,
                MigrationUri.parse(uri),
                links,
                scenario.preempt(),
                (guest, name, data) -> {},
                RescueLimits.DEFAULTS);
    }
}
