package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.peer.MovedGuest;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpClient;
import io.migrationd.it.peer.QmpException;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Moves of real QEMUs by two daemons, from the command to the report. */
@DisplayName("A move of a QEMU guest")
@ExtendWith(RealPeerReport.class)
@Timeout(150)
@SuppressWarnings("try") // A test may be interrupted while it ends.
class QemuMoveIT {
    @TempDir
    private Path folder;

    @FunctionalInterface
    private interface Steps {
        void run(MoveLab lab) throws Exception;
    }

    /** Two daemons for all tests that kill none; anew after a failure. */
    private static @Nullable MoveLab shared;

    private static int sharedLabs;

    @TempDir
    private static Path sharedFolder;

    private static void inLab(QemuBinary source, QemuBinary target, Steps steps) throws Exception {
        MoveLab all = shared;
        if (all == null) {
            all = MoveLab.start(sharedFolder.resolve("lab" + ++sharedLabs), QemuBinary.system(), QemuBinary.system());
            shared = all;
        }
        try (MoveLab lab = all.view(source, target)) {
            runSteps(lab, steps);
        } catch (AssertionError e) {
            shared = null;
            all.close();
            throw e;
        }
    }

    private static void inLab(Steps steps) throws Exception {
        inLab(QemuBinary.system(), QemuBinary.system(), steps);
    }

    /** With daemons that may be killed. */
    private void inOwnLab(Steps steps) throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.system(), QemuBinary.system())) {
            runSteps(lab, steps);
        }
    }

    private static void runSteps(MoveLab lab, Steps steps) throws IOException {
        try {
            steps.run(lab);
            lab.assertSound();
        } catch (Exception | AssertionError e) {
            throw new AssertionError(e.getMessage() + "\n" + lab.facts(), e);
        }
    }

    @AfterAll
    static void endSharedLab() throws Exception {
        MoveLab lab = shared;
        if (lab != null) {
            try (lab) {
                runSteps(lab, _ -> {});
            }
        }
    }

    /** Of {@link #calm}: comes last. */
    private static final int LAST_COLD_PAGE = (1 << 20) + (32 << 20) - 4096;

    /** 32 MiB that do not compress. */
    private static BootGuest calm() {
        return BootGuest.standard(1).withRam(64, 32).resting();
    }

    static Stream<Arguments> pairs() {
        return Stream.of(
                Arguments.of(QemuBinary.system(), QemuBinary.system()),
                Arguments.of(QemuBinary.newer(), QemuBinary.newer()),
                Arguments.of(QemuBinary.system(), QemuBinary.newer()));
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void precopy(QemuBinary source, QemuBinary target) throws Exception {
        inLab(source, target, lab -> {
            MovedGuest guest = lab.guest("web", calm());
            String id = lab.move(guest, Map.of("postcopy", "never", "downtime-limit", 500));
            JsonNode report = lab.assertMoved(guest, id);
            MoveLab.assertDowntime(report);
            assertThat(report.path("mode").asText()).isEqualTo("precopy");
            assertThat(report.path("passes").size()).isPositive();
        });
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void postcopy(QemuBinary source, QemuBinary target) throws Exception {
        inLab(source, target, lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            JsonNode report = lab.assertMoved(guest, id);
            MoveLab.assertDowntime(report);
            assertThat(report.path("mode").asText()).isEqualTo("postcopy");
            assertThat(report.path("postcopy").path("requests").asLong()).isPositive();
        });
    }

    @Test
    void postcopyWithPreempt() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            Map<String, Object> how = new HashMap<>(SLOW_POSTCOPY);
            how.put("preempt", true);
            JsonNode report = lab.assertMoved(guest, lab.move(guest, how));
            MoveLab.assertDowntime(report);
            assertThat(report.path("channel-bytes").path("preempt.read").asLong())
                    .isPositive();
        });
    }

    @Test
    void multifd() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            JsonNode report = lab.assertMoved(guest, lab.move(guest, Map.of("multifd-channels", 2)));
            MoveLab.assertDowntime(report);
            assertThat(report.path("channel-bytes").toString()).contains("multifd");
        });
    }

    @Test
    void xbzrle() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            JsonNode report = lab.assertMoved(
                    guest, lab.move(guest, Map.of("xbzrle", true, "max-bandwidth", 16 << 20, "downtime-limit", 100)));
            MoveLab.assertDowntime(report);
        });
    }

    @Test
    void busyGuestIsLeftAtItsSourceWhenTheBudgetIsSpent() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", busy());
            String id = lab.move(guest, stuck("never"));
            JsonNode report = lab.assertStayed(guest, "cancelled");
            assertThat(report.path("id").asText()).isEqualTo(id);
            assertThat(report.path("decisions").toString()).contains("cancel");
        });
    }

    @Test
    void busyGuestGoesOnInPostcopy() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", busy());
            JsonNode report = lab.assertMoved(guest, lab.move(guest, stuck("when-stuck")));
            MoveLab.assertDowntime(report);
            assertThat(report.path("decisions").toString()).contains("start-postcopy");
        });
    }

    @Test
    void canBeCancelledBeforeTheGate() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            JsonNode parameters = guest.source().qmp().execute("query-migrate-parameters");
            lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 2 << 20);
            assertThat(guest.source().qmp().execute("query-migrate-parameters")).isNotEqualTo(parameters);
            lab.cancel(guest);
            lab.assertStayed(guest, "cancelled");
            assertThat(guest.source().qmp().execute("query-migrate-parameters"))
                    .as("the settings that it had before")
                    .isEqualTo(parameters);
        });
    }

    @Test
    void canBeCancelledAtOnce() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            lab.move(guest, SLOW_PRECOPY);
            lab.cancel(guest);
            lab.assertStayed(guest, "cancelled");
        });
    }

    /** Either is right there, but not something between. */
    @ParameterizedTest
    @ValueSource(strings = {"pre-switchover", "device"})
    void isCancelledOrMovedAtTheGate(String status) throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            String id = lab.move(guest, SLOW_PRECOPY);
            lab.awaitSaid(guest, status);
            boolean refused = false;
            try {
                lab.cancel(guest);
            } catch (QmpException e) {
                refused = true;
            }
            String outcome = lab.awaitEnd(guest).path("outcome").asText();
            if (refused || outcome.equals("moved")) {
                lab.assertMoved(guest, id);
            } else {
                lab.assertStayed(guest, "cancelled");
            }
        });
    }

    @Test
    void cannotBeCancelledInPostcopy() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            assertThatThrownBy(() -> lab.cancel(guest)).hasMessageContaining("can't be cancelled any more");
            lab.assertMoved(guest, id);
        });
    }

    @ParameterizedTest
    @EnumSource(
            value = Cut.class,
            names = {"RESET", "SILENCE"})
    void linkCutInPrecopyIsNotNoticed(Cut cut) throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            String id = lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 2 << 20);
            lab.cutFor(guest, cut, 400);
            assertHealed(lab.assertMoved(guest, id));
        });
    }

    @ParameterizedTest
    @EnumSource(
            value = Cut.class,
            names = {"RESET", "SILENCE"})
    void linkCutInPostcopyIsNotNoticed(Cut cut) throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            lab.cutFor(guest, cut, 400);
            assertHealed(lab.assertMoved(guest, id));
        });
    }

    @ParameterizedTest
    @CsvSource({"pre-switchover, RESET", "device, RESET", "device, SILENCE_REVERSE", "completed, RESET"})
    void linkCutAtTheEndOfPrecopyIsNotNoticed(String status, Cut cut) throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            String id = lab.move(guest, SLOW_PRECOPY);
            lab.awaitSaid(guest, status);
            lab.cutFor(guest, cut, 400);
            assertNoRecovery(lab.assertMoved(guest, id));
        });
    }

    @ParameterizedTest
    @CsvSource({
        "pre-switchover, RESET",
        "pre-switchover, SILENCE_REVERSE",
        "postcopy-active, RESET",
        "postcopy-active, SILENCE_FORWARD"
    })
    void linkCutAtTheSwitchToPostcopyIsNotNoticed(String status, Cut cut) throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitSaid(guest, status);
            lab.cutFor(guest, cut, 400);
            assertNoRecovery(lab.assertMoved(guest, id));
        });
    }

    @Test
    void cutsAgainAndAgainUntilTheEnd() throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            String id = lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 1 << 20);
            lab.cutUntilTheEnd(guest);
            assertHealed(lab.assertMoved(guest, id));
        });
    }

    private static void assertHealed(JsonNode report) {
        assertThat(report.path("outages").size()).isPositive();
        assertNoRecovery(report);
    }

    private static void assertNoRecovery(JsonNode report) {
        assertThat(report.path("recoveries").size()).isZero();
        MoveLab.assertDowntime(report);
    }

    /** Who dies. */
    enum Victims {
        SOURCE,
        TARGET,
        BOTH;

        void die(MoveLab lab) throws Exception {
            if (this != TARGET) {
                lab.a().kill();
            }
            if (this != SOURCE) {
                lab.b().kill();
            }
        }

        void comeBack(MoveLab lab) throws Exception {
            if (this != SOURCE) {
                lab.b().restart();
            }
            if (this != TARGET) {
                lab.a().restart();
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Victims.class)
    void daemonsKilledInPrecopyLeaveTheGuestAtItsSource(Victims victims) throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 2 << 20);
            victims.die(lab);
            assertThat(guest.watch().destinationRuns()).isFalse();
            lab.assertGoesOn(SerialLog.of(guest.sourceSerial()));
            victims.comeBack(lab);
            lab.assertStayed(guest, "failed-at-source");
        });
    }

    @ParameterizedTest
    @EnumSource(Victims.class)
    void moveIsTriedAgainWhenTheDaemonsAreBack(Victims victims) throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            Map<String, Object> how = new HashMap<>(SLOW_PRECOPY);
            how.put("retries", 2);
            String first = lab.move(guest, how);
            lab.awaitTransferred(guest, 2 << 20);
            victims.die(lab);
            victims.comeBack(lab);
            lab.awaitOther(guest, first);
            JsonNode second = lab.show(lab.a(), guest);
            assertThat(second.path("attempt").asInt()).isEqualTo(2);
            lab.assertMoved(guest, second.path("id").asText());
        });
    }

    @Test
    void nextAttemptOutlivesTheDaemonThatHasPlannedIt() throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            Map<String, Object> how = new HashMap<>(SLOW_PRECOPY);
            how.put("retries", 3);
            String first = lab.move(guest, how);
            lab.awaitTransferred(guest, 2 << 20);
            guest.killTarget();
            lab.awaitEnd(guest);
            lab.a().kill();
            lab.assertGoesOn(SerialLog.of(guest.sourceSerial()));
            lab.a().restart();
            JsonNode next = lab.awaitNext(guest, first);
            assertThat(next.path("attempt").asInt()).isGreaterThan(1);
            lab.assertMoved(guest, next.path("id").asText());
        });
    }

    @ParameterizedTest
    @EnumSource(Victims.class)
    void daemonsKilledInPostcopyRecover(Victims victims) throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            victims.die(lab);
            victims.comeBack(lab);
            assertRecovered(lab.assertMoved(guest, id));
        });
    }

    /** Longer than a source waits for a QEMU whose connections are closed; 7.2 would crash if they were. */
    @Test
    void linkCutInTheHandshakeOfARecoveryIsNotNoticed() throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            lab.a().kill();
            // So that the handshake is still on its way when the link breaks.
            lab.link().delay(Direction.FORWARD, Duration.ofMillis(300));
            lab.a().restart();
            lab.awaitSaid(guest, "postcopy-recover");
            lab.cutFor(guest, Cut.SILENCE, 13_000);
            lab.link().delay(Direction.FORWARD, Duration.ZERO);
            JsonNode report = lab.assertMoved(guest, id);
            assertThat(report.path("recoveries").size()).isEqualTo(1);
        });
    }

    private static void assertRecovered(JsonNode report) {
        assertThat(report.path("recoveries").size()).isPositive();
    }

    /** An operator has a monitor of its own; where both QEMUs have one at the path, the younger one's is found. */
    private static MovedGuest guestWithOperator(MoveLab lab, Path socket) throws Exception {
        return lab.guest(
                "web", calm().touchingCold(), List.of("-qmp", "unix:" + socket + ",server=on,wait=off"), List.of());
    }

    private static void assertHangs(QmpClient operator) throws Exception {
        assertThat(operator.answers(Duration.ofSeconds(1)))
                .as("its main loop hangs")
                .isFalse();
    }

    /** The target has loaded the guest, and the source does not hear of it. The move's id. */
    private static String moveUntilLoadedUnheard(MoveLab lab, MovedGuest guest) throws Exception {
        String id = lab.move(guest, SLOW_POSTCOPY);
        lab.awaitSaid(guest, "postcopy-active");
        lab.link().cut(Cut.SILENCE_REVERSE);
        lab.awaitTargetPhase(guest, "loaded");
        return id;
    }

    /**
     * {@code stop} waits for the vCPUs, one of which waits for a page that nobody brings: as with any device that
     * touches one, the destination's main loop hangs, and negotiates with no daemon that comes anew.
     */
    @ParameterizedTest
    @EnumSource(
            value = Victims.class,
            names = {"TARGET", "BOTH"})
    void daemonsKilledWhileTheTargetsMainLoopHangsRecover(Victims victims) throws Exception {
        inOwnLab(lab -> {
            Path socket = folder.resolve("operator.qmp");
            MovedGuest guest = guestWithOperator(lab, socket);
            String id = lab.move(guest, SLOW_POSTCOPY);
            lab.awaitPhase(guest, "paging");
            try (QmpClient operator = QmpClient.connect("operator", socket)) {
                victims.die(lab);
                var _ = operator.awaitLastEvent(
                        "MIGRATION", data -> data.path("status").asText().equals("postcopy-paused"), MoveLab.DEADLINE);
                operator.send("stop");
                assertHangs(operator);
                victims.comeBack(lab);
                var _ = operator.awaitEvent("STOP", _ -> true, MoveLab.DEADLINE);
                operator.execute("cont");
            }
            assertRecovered(lab.assertMoved(guest, id));
        });
    }

    /**
     * The same before the destination has answered to {@code cont}, so that nobody knows whether the guest runs: the
     * word that it is loaded is held up, its main loop is sent for a page that does not come, and the next daemon of
     * the source hears that word and grants.
     */
    @ParameterizedTest
    @EnumSource(
            value = Victims.class,
            names = {"SOURCE", "BOTH"})
    void daemonsKilledWhileTheTargetHangsAsItStartsRecover(Victims victims) throws Exception {
        inOwnLab(lab -> {
            Path socket = folder.resolve("operator.qmp");
            MovedGuest guest = guestWithOperator(lab, socket);
            String id = moveUntilLoadedUnheard(lab, guest);
            try (QmpClient operator = QmpClient.connect("operator", socket)) {
                Path dump = folder.resolve("page");
                operator.send("pmemsave", Map.of("val", LAST_COLD_PAGE, "size", 4096, "filename", dump.toString()));
                assertHangs(operator);
                lab.a().kill();
                lab.link().heal();
                lab.a().restart();
                lab.awaitTargetPhase(guest, "starting");
                if (victims == Victims.BOTH) {
                    lab.b().kill();
                    lab.b().restart();
                }
                var _ = operator.awaitEvent("RESUME", _ -> true, MoveLab.DEADLINE);
                assertThat(dump).hasSize(4096);
            }
            assertRecovered(lab.assertMoved(guest, id));
        });
    }

    /** Both QEMUs are paused when the guest is granted. */
    @ParameterizedTest
    @EnumSource(Victims.class)
    void daemonsKilledBeforeTheGrantRecover(Victims victims) throws Exception {
        inOwnLab(lab -> {
            MovedGuest guest = lab.guest("web", calm().touchingCold());
            String id = moveUntilLoadedUnheard(lab, guest);
            victims.die(lab);
            lab.link().heal();
            victims.comeBack(lab);
            assertRecovered(lab.assertMoved(guest, id));
        });
    }

    @Test
    void sourceQemuKilledInPrecopyLeavesNoGhost() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 2 << 20);
            guest.killSource();
            JsonNode end = lab.awaitEnd(guest);
            assertThat(end.path("outcome").asText()).isIn("lost", "failed-at-source");
            lab.assertNoGhost(guest);
        });
    }

    @Test
    void targetQemuKilledInPrecopyLeavesTheGuestAtItsSource() throws Exception {
        inLab(lab -> {
            MovedGuest guest = lab.guest("web", calm());
            lab.move(guest, SLOW_PRECOPY);
            lab.awaitTransferred(guest, 2 << 20);
            guest.killTarget();
            lab.assertStayed(guest, "failed-at-source");
        });
    }

    @Test
    void isNotEvenStartedWhenTheTargetHasTooLittleMemory() throws Exception {
        inLab(lab -> {
            // More than any test machine has; the source's QEMU never touches it.
            List<String> huge = List.of(
                    "-m", "256G", "-object", HUGE + ",size=256G,reserve=off", "-machine", "memory-backend=huge");
            MovedGuest guest = lab.guest("web", calm(), huge, List.of());
            assertThatThrownBy(() -> lab.move(guest, SLOW_PRECOPY))
                    .hasMessageContaining("[memory]")
                    .hasMessageContaining("262144 MiB");
            lab.assertRunsAtSource(guest);
        });
    }

    @Test
    void staysWhenTheTargetsMemoryIsGoneAfterTheCheck() throws Exception {
        inLab(lab -> {
            // Enough for the program, too little for the guest.
            List<String> limited = List.of("/usr/bin/prlimit", "--as=1500000000");
            MovedGuest guest = lab.guest("web", calm(), List.of("-m", "2G"), limited);
            lab.move(guest, SLOW_PRECOPY);
            JsonNode report = lab.assertStayed(guest, "failed-at-source");
            assertThat(report.path("outcome").asText()).isEqualTo("failed-at-source");
            assertThat(lab.show(lab.a(), guest).path("message").asText()).contains("cannot set up guest memory");
        });
    }

    @Test
    void twoGuestsAtOnceAndNoneTwice() throws Exception {
        inLab(lab -> {
            MovedGuest first = lab.guest("web", calm());
            MovedGuest second = lab.guest("mail", calm());
            String firstId = lab.move(first, SLOW_PRECOPY);
            String secondId = lab.move(second, SLOW_PRECOPY);
            assertThatThrownBy(() -> lab.move(first, SLOW_PRECOPY)).hasMessageContaining("is being moved already");
            MoveLab.assertDowntime(lab.assertMoved(first, firstId));
            MoveLab.assertDowntime(lab.assertMoved(second, secondId));
        });
    }

    private static final String HUGE = "memory-backend-ram,id=huge";

    /** Dirties 16 MiB faster than they can be sent. */
    private static BootGuest busy() {
        return BootGuest.standard(1).withRam(64, 8).withHotPages(4096, 1);
    }

    private static Map<String, Object> stuck(String postcopy) {
        return Map.of(
                "postcopy", postcopy,
                "time-budget", 3_000,
                "max-bandwidth", 8 << 20,
                "downtime-limit", 10,
                "max-downtime", 20);
    }

    /** Takes some seconds. */
    private static final Map<String, Object> SLOW_PRECOPY =
            Map.of("postcopy", "never", "max-bandwidth", 8 << 20, "downtime-limit", 300, "retries", 0);

    /** Postcopy begins in the first pass, when most pages are still to come, and those take some seconds. */
    private static final Map<String, Object> SLOW_POSTCOPY = Map.of(
            "postcopy", "when-stuck", "time-budget", 500, "max-bandwidth", 8 << 20, "max-postcopy-bandwidth", 8 << 20);
}
