package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Conduct;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigratingQemus;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpClient;
import io.migrationd.migrationd.sample.BootGuest;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a relay's buffers and stalls do to real QEMUs: they believe what their own socket takes. */
@DisplayName("Backpressure of a relay")
class RelayPressureIT extends RelayScenario {
    private static final long LINK_BYTES_PER_SECOND = 2 * MEBIBYTE;
    private static final Map<String, Object> FULL_SPEED = Map.of("max-bandwidth", 1 << 30, "downtime-limit", 300);
    /** Bits per second of that link in QEMU's unit, and what a 64 KiB queue and a socket may add to a measurement. */
    private static final double HONEST_MBPS = 2 * LINK_BYTES_PER_SECOND * 8 / 1e6;

    /** Writes as much as the link carries, so that it can't converge there; 4 MiB of pages that never change. */
    @Override
    BootGuest guest() {
        return BootGuest.standard(1).withHotPages(1024, 20_000).withRam(16, 4);
    }

    /** It is told of a link that takes all at once, and stops its guest while all of it is still with the relay. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void relayThatSwallowsEverythingMakesTheDowntimeLong(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.source().migration().set(FULL_SPEED);
            qemus.migrate(by(Conduct.good().swallowing().withRate(LINK_BYTES_PER_SECOND)));
            awaitBoth(qemus, "completed");
            assertThat(qemus.downtimeMillis()).isGreaterThan(2000);
            assertMoved(qemus);
        });
    }

    /** And without the return path it even says that all was well. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void sourceWithoutReturnPathReportsWhatTheRelaySwallowed(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.source().migration().disable("return-path");
            qemus.source().migration().set(FULL_SPEED);
            qemus.migrate(by(Conduct.good().swallowing().withRate(LINK_BYTES_PER_SECOND)));
            qemus.awaitSource("completed");
            assertThat(qemus.source().migration().info().path("downtime").asLong())
                    .isLessThan(1000);
            assertThat(MigratingQemus.runs(qemus.destination())).isFalse();
            qemus.awaitDestination("completed");
            assertThat(qemus.downtimeMillis()).isGreaterThan(2000);
        });
    }

    /** A guest that changes too much for the link stays where it is until the link is better. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void relayWithShortQueueIsBelieved(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.source().migration().set(FULL_SPEED);
            qemus.migrate(by(Conduct.good().withRate(LINK_BYTES_PER_SECOND)));
            qemus.source().migration().awaitPasses(3, DEADLINE);
            JsonNode info = qemus.source().migration().info();
            assertThat(info.path("ram").path("mbps").asDouble()).isLessThan(HONEST_MBPS);
            assertThat(info.path("expected-downtime").asLong()).isGreaterThan(300);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            relay().setRate(Conduct.UNLIMITED);
            awaitBoth(qemus, "completed");
            assertThat(qemus.downtimeMillis()).isLessThan(1500);
            assertMoved(qemus);
        });
    }

    // Stalls.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void stalledPrecopyCanBeCancelled(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good()));
            stall();
            assertGuestGoesOn(qemus.source());
            cancel(qemus);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            assertGuestGoesOn(qemus.source());
        });
    }

    /** From 10 on: the throttle waits for the migration's thread, which waits for the link. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void stallWithAutoConvergeFreezesTheGuest(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("auto-converge");
            startPrecopy(qemus, by(Conduct.good()));
            Await.until("throttle", DEADLINE, () -> throttle(qemus) > 0, qemus::facts);
            QmpClient monitor = qemus.source().qmp();
            if (isOld(qemu)) {
                stall();
                assertThat(MigratingQemus.staysWithout(qemus.source(), "STOP", WINDOW.multipliedBy(4)))
                        .isTrue();
                assertThat(monitor.answers(WINDOW)).isTrue();
            } else {
                stallUntilFrozen(qemus);
            }
            relay().unstall();
            Await.until("monitor", DEADLINE, () -> monitor.answers(WINDOW), qemus::facts);
            letGo(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    /** Why the gate is passed only when the link can take all the rest: behind it only a yank helps. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void stallBehindTheGateLeavesAYankAlone(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.enable("pause-before-switchover");
            startPrecopy(qemus, by(Conduct.good()));
            // At this bandwidth the rest that is let through is far more than the buffers under way take.
            qemus.source().migration().set(Map.of("downtime-limit", 60_000));
            qemus.awaitSource("pre-switchover");
            stall();
            QmpClient monitor = qemus.source().qmp();
            assertThat(monitor.answers(WINDOW)).isTrue();
            try {
                monitor.execute("migrate-continue", Map.of("state", "pre-switchover"));
            } catch (TimeoutException e) {
                // It froze before it had answered.
            }
            Await.until("frozen monitor", DEADLINE, () -> !monitor.answers(WINDOW), qemus::facts);
            monitor.executeOob("yank", Map.of("instances", List.of(Map.of("type", "migration"))));
            Await.until("monitor", DEADLINE, () -> monitor.answers(WINDOW), qemus::facts);
            qemus.awaitSource("failed");
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            assertThat(MigratingQemus.runs(qemus.destination())).isFalse();
            assertGuestGoesOn(qemus.source());
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void stallOfPostcopyEndsByItself(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good()));
            awaitBoth(qemus, "postcopy-active");
            stall();
            relay().stall(Direction.REVERSE);
            assertCopiesStay(qemus, 1);
            assertThat(qemus.source().qmp().answers(WINDOW)).isTrue();
            relay().unstall();
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    /** It freezes only if the migration's thread was stopped amid its pages, not between two passes: some tries. */
    private void stallUntilFrozen(MigratingQemus qemus) throws Exception {
        for (int tries = 1; tries <= 4; tries++) {
            stall();
            for (int looks = 0; looks < 6; looks++) {
                if (!qemus.source().qmp().answers(WINDOW)) {
                    return;
                }
                Thread.sleep(WINDOW);
            }
            relay().unstall();
            Thread.sleep(300L * tries);
        }
        throw new AssertionError("no stall has frozen the monitor: " + qemus.facts());
    }

    private static int throttle(MigratingQemus qemus) throws Exception {
        return qemus.source().migration().info().path("cpu-throttle-percentage").asInt();
    }

    private void stall() {
        relay().stall(Direction.FORWARD);
    }
}
