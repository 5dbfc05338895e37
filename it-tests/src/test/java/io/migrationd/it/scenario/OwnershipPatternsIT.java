package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Conduct;
import io.migrationd.it.fault.Place;
import io.migrationd.it.peer.MigratingQemus;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What real QEMUs do on which the daemons' hand-over rests: who starts by itself, and who never does. */
@DisplayName("Who runs by itself")
class OwnershipPatternsIT extends RelayScenario {
    /** Pattern A: the gate, the source completed, then cont. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void destinationOfPrecopyRunsOnTheWordAlone(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.enable("pause-before-switchover");
            startPrecopy(qemus, by(Conduct.good()));
            letGo(qemus);
            qemus.awaitSource("pre-switchover");
            assertThat(qemus.runningCopies()).isZero();
            qemus.source().migration().execute("migrate-continue", Map.of("state", "pre-switchover"));
            awaitBoth(qemus, "completed");
            assertCopiesStay(qemus, 0);
            qemus.destination().migration().cont();
            assertMoved(qemus);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void destinationOfPostcopyRunsOnTheWordAlone(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good()));
            awaitBoth(qemus, "postcopy-active");
            assertCopiesStay(qemus, 0);
            qemus.destination().migration().cont();
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    /** The worst that a relay can do to pattern A leaves the guest where it was. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void lostShutHarmsNobodyWhileTheDestinationWaitsForTheWord(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            startPrecopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            letGo(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitSource("failed");
            awaitCopies(qemus, 1);
            assertCopiesStay(qemus, 1);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            assertGuestGoesOn(qemus.source());
        });
    }

    /** Pattern B. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void guestThatWasStoppedBeforePrecopyEndedRunsNowhereByItself(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            qemus.source().migration().stop();
            letGo(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitSource("failed");
            assertCopiesStay(qemus, 0);
            qemus.destination().migration().cont();
            assertMoved(qemus);
        });
    }

    /** Pattern C. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void sourceThatWasStoppedBeforePostcopyNeverRunsAgain(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPrecopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            qemus.source().migration().stop();
            limitPostcopy(qemus);
            qemus.startPostcopy();
            qemus.destination().qmp().awaitEvent("RESUME", _ -> true, DEADLINE);
            hurryPostcopy(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitDestination("completed");
            if (!isOld(qemu)) {
                qemus.awaitSource("failed");
            }
            assertCopiesStay(qemus, 1);
            assertThat(MigratingQemus.runs(qemus.source())).isFalse();
            assertMoved(qemus);
        });
    }

    /** A stop at the gate comes too late: what counts is whether it ran when the switch began. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void stopAtTheGateDoesNotKeepTheSourceFromRunning(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.enable("pause-before-switchover");
            startPrecopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            letGo(qemus);
            qemus.awaitSource("pre-switchover");
            qemus.source().migration().stop();
            qemus.source().migration().execute("migrate-continue", Map.of("state", "pre-switchover"));
            relay().awaitStop(DEADLINE);
            qemus.awaitSource("failed");
            awaitCopies(qemus, 1);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
        });
    }
}
