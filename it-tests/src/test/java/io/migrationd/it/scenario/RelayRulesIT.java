package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Conduct;
import io.migrationd.it.fault.Conduct.Connecting;
import io.migrationd.it.fault.Place;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigratingQemus;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The rules for the data path of a relay, each broken in front of real QEMUs, and kept: why each is law. A name that
 * says what goes wrong is of a relay that breaks the rule.
 */
@DisplayName("Rules of a relay")
class RelayRulesIT extends RelayScenario {
    /** How a guest moves. */
    enum Mode {
        PRECOPY,
        MULTIFD,
        POSTCOPY,
        PREEMPT;

        String[] capabilities() {
            return switch (this) {
                case PRECOPY -> new String[] {};
                case MULTIFD -> new String[] {"multifd"};
                case POSTCOPY -> new String[] {"postcopy-ram"};
                case PREEMPT -> new String[] {"postcopy-ram", "postcopy-preempt"};
            };
        }

        boolean isPostcopy() {
            return this == POSTCOPY || this == PREEMPT;
        }
    }

    static Stream<Arguments> moves() {
        QemuBinary system = QemuBinary.system();
        QemuBinary newer = QemuBinary.newer();
        return Stream.of(Mode.values())
                .flatMap(mode -> Stream.of(
                        Arguments.of(system, system, mode),
                        Arguments.of(newer, newer, mode),
                        Arguments.of(system, newer, mode)));
    }

    @ParameterizedTest(name = "{displayName}: {0} to {1}, {2}")
    @MethodSource("moves")
    void relayThatKeepsTheRulesIsNotNoticed(QemuBinary source, QemuBinary destination, Mode mode) throws Exception {
        withQemus(source, destination, "pc-i440fx-7.2", Arrival.RUNS, qemus -> {
            qemus.enable(mode.capabilities());
            if (mode.isPostcopy()) {
                startPostcopy(qemus, by(Conduct.good()));
                awaitCopies(qemus, 1);
                awaitBoth(qemus, "postcopy-active");
                hurryPostcopy(qemus);
            } else {
                startPrecopy(qemus, by(Conduct.good()));
                letGo(qemus);
            }
            awaitBoth(qemus, "completed");
            assertThat(MigratingQemus.runs(qemus.source())).isFalse();
            assertMoved(qemus);
        });
    }

    // Rule 2: directions die together.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void withoutTheReturnPathOfPrecopyBothRun(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good().dyingByHalves()));
            relay().cutReverse();
            if (isOld(qemu)) {
                qemus.awaitSource("failed");
                awaitCopies(qemus, 1);
                assertThat(MigratingQemus.runs(qemus.source())).isTrue();
                return;
            }
            letGo(qemus);
            qemus.awaitSource("failed");
            awaitCopies(qemus, 2);
            assertCopiesStay(qemus, 2);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void withoutTheReturnPathOfPostcopyBothRun(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good().dyingByHalves()));
            awaitBoth(qemus, "postcopy-active");
            relay().cutReverse();
            if (isOld(qemu)) {
                qemus.awaitSource("postcopy-paused");
                assertThat(MigratingQemus.runs(qemus.source())).isFalse();
                return;
            }
            hurryPostcopy(qemus);
            qemus.awaitSource("failed");
            awaitCopies(qemus, 2);
            assertCopiesStay(qemus, 2);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void directionsOfPrecopyThatDieTogetherLeaveOneCopy(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good()));
            relay().cutReverse();
            qemus.awaitSource("failed");
            assertThat(qemus.destination().awaitExit(DEADLINE)).isEqualTo(1);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            assertGuestGoesOn(qemus.source());
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void directionsOfPostcopyThatDieTogetherPauseIt(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good()));
            awaitBoth(qemus, "postcopy-active");
            relay().cutReverse();
            awaitBoth(qemus, "postcopy-paused");
            qemus.recover(by(Conduct.good()));
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    // Rule 3: never lose SHUT.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void lostShutOfPrecopyLetsBothRun(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            letGo(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitSource("failed");
            awaitCopies(qemus, 2);
            assertCopiesStay(qemus, 2);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void lostShutOfPostcopyLetsStaleCopyRun(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good().losing(Place.SHUT)));
            awaitBoth(qemus, "postcopy-active");
            hurryPostcopy(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitDestination("completed");
            if (isOld(qemu)) {
                assertCopiesStay(qemus, 1);
                assertThat(qemus.source().migration().status()).isEqualTo("postcopy-active");
                return;
            }
            qemus.awaitSource("failed");
            awaitCopies(qemus, 2);
            assertCopiesStay(qemus, 2);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void sourceWaitsForAShutThatIsHeldBack(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good().holding(Place.SHUT)));
            letGo(qemus);
            relay().awaitStop(DEADLINE);
            qemus.awaitDestination("completed");
            assertCopiesStay(qemus, 1);
            assertThat(MigratingQemus.runs(qemus.destination())).isTrue();
            assertThat(qemus.source().migration().status()).isNotIn("completed", "failed");
            relay().release();
            qemus.awaitSource("completed");
            assertMoved(qemus);
        });
    }

    // Rule 4: never lose PONG 42h, which the newest sources wait for.

    @ParameterizedTest(name = "{displayName}: {0}", allowZeroInvocations = true)
    @MethodSource("newest")
    void lostPongOfThePackageLetsStaleCopyRun(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good().losing(Place.PONG_LOADED)));
            relay().awaitStop(DEADLINE);
            qemus.awaitSource("failed");
            qemus.destination().qmp().awaitEvent("RESUME", _ -> true, DEADLINE);
            Await.until("the source runs again", DEADLINE, () -> MigratingQemus.runs(qemus.source()), qemus::facts);
            qemus.awaitDestination("postcopy-paused");
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}", allowZeroInvocations = true)
    @MethodSource("newest")
    void sourceWaitsForAPongThatIsHeldBack(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good().holding(Place.PONG_LOADED)));
            relay().awaitStop(DEADLINE);
            qemus.destination().qmp().awaitEvent("RESUME", _ -> true, DEADLINE);
            assertThat(MigratingQemus.runs(qemus.source())).isFalse();
            assertThat(qemus.source().migration().status()).isEqualTo("postcopy-device");
            relay().release();
            awaitBoth(qemus, "postcopy-active");
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    // Rule 5: connect late, then never abandon; the preempt channel at once.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void earlyRelayEndsTheDestinationForASourceThatSaidNothing(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.listen();
            Path front = folder.resolve("front.mig");
            Conduct early = Conduct.good().connectingMain(Connecting.ON_ACCEPT);
            try (ScriptedCrossing crossing = ScriptedCrossing.between(front, qemus.destinationEnd(), early)) {
                connect(crossing.sourceEnd()).close();
                assertThat(qemus.destination().awaitExit(DEADLINE)).isEqualTo(1);
            }
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void emptyConnectionToALateRelayHarmsNobody(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.source().migration().set(LET_GO);
            qemus.listen();
            Path front = folder.resolve("front.mig");
            try (ScriptedCrossing crossing = ScriptedCrossing.between(front, qemus.destinationEnd(), Conduct.good())) {
                connect(front).close();
                Await.until(
                        "the empty connection is over",
                        DEADLINE,
                        () -> crossing.facts().contains("ended before"),
                        crossing::facts);
                assertThat(crossing.relay().connectedCount()).isZero();
            }
            try (ScriptedCrossing crossing = ScriptedCrossing.between(front, qemus.destinationEnd(), Conduct.good())) {
                qemus.source().migration().migrate("unix:" + crossing.sourceEnd());
                awaitBoth(qemus, "completed");
                assertMoved(qemus);
            }
        });
    }

    static Stream<Arguments> silences() {
        return qemus().flatMap(qemu -> Stream.of(Arguments.of(qemu, Mode.PRECOPY), Arguments.of(qemu, Mode.MULTIFD)));
    }

    /** From 8 on with multifd, the newest always: they look at the first four bytes before they do anything else. */
    @ParameterizedTest(name = "{displayName}: {0}, {1}")
    @MethodSource("silences")
    void silentConnectionFreezesAQemuThatLooksAtFirstBytes(QemuBinary qemu, Mode mode) throws Exception {
        boolean looks = mode == Mode.MULTIFD ? qemu.majorVersion() >= 8 : qemu.majorVersion() >= 11;
        withQemus(qemu, Arrival.STAYS_STOPPED, qemus -> {
            qemus.enable(mode.capabilities());
            qemus.listen();
            try (SocketChannel silent = connect(qemus.destinationEnd())) {
                assertThat(qemus.destination().qmp().answers(WINDOW)).isEqualTo(!looks);
                silent.write(ByteBuffer.wrap(new byte[] {0x51, 0x45, 0x56}));
                assertThat(qemus.destination().qmp().answers(WINDOW)).isEqualTo(!looks);
            }
        });
    }

    /** It ends a 7.2 and an 11; a 10 waits for the next. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void emptyRecoveryConnectionLosesTheDestination(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            startPostcopy(qemus, by(Conduct.good()));
            awaitBoth(qemus, "postcopy-active");
            relay().cut();
            awaitBoth(qemus, "postcopy-paused");
            Path end = folder.resolve("empty.mig");
            qemus.destination().migration().recover("unix:" + end);
            connect(end).close();
            if (isOld(qemu) || qemu.majorVersion() >= 11) {
                assertThat(qemus.destination().awaitExit(DEADLINE)).isNotZero();
                return;
            }
            qemus.awaitDestination("postcopy-paused");
            qemus.recover(by(Conduct.good()));
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void latePreemptChannelStopsTheSwitch(QemuBinary qemu) throws Exception {
        withQemus(qemu, qemu, newestMachine(), Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram", "postcopy-preempt");
            startPostcopy(qemus, by(Conduct.good().connectingOthers(Connecting.WITH_FIRST_BYTES)));
            qemus.source().qmp().awaitEvent("STOP", _ -> true, DEADLINE);
            Await.until("both connections", DEADLINE, () -> relay().acceptedCount() == 2, qemus::facts);
            assertThat(MigratingQemus.staysWithout(qemus.destination(), "RESUME", WINDOW))
                    .isTrue();
            assertThat(relay().connectedCount()).isEqualTo(1);
            relay().release();
            qemus.destination().qmp().awaitEvent("RESUME", _ -> true, DEADLINE);
            hurryPostcopy(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    // Rule 6: main first.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void mainConnectionBehindThoseOfMultifd(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("multifd");
            qemus.set(Map.of("multifd-channels", 2));
            qemus.source().migration().set(LET_GO);
            qemus.migrate(by(Conduct.good().mainAfter(2)));
            if (isOld(qemu)) {
                qemus.awaitSource("failed");
                assertThat(MigratingQemus.runs(qemus.source())).isTrue();
                assertThat(MigratingQemus.runs(qemus.destination())).isFalse();
                return;
            }
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    /** Where the preempt channel is there from the start: old machine types. */
    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void preemptChannelBeforeTheMainOneIsReadAsTheMainOne(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram", "postcopy-preempt");
            qemus.source().migration().set(LET_GO);
            qemus.migrate(by(Conduct.good().mainAfter(1)));
            Await.until("both connections", DEADLINE, () -> relay().connectedCount() == 2, qemus::facts);
            assertThat(MigratingQemus.staysWithout(qemus.source(), "STOP", WINDOW))
                    .isTrue();
            cancel(qemus);
            assertThat(MigratingQemus.runs(qemus.source())).isTrue();
            assertThat(MigratingQemus.runs(qemus.destination())).isFalse();
        });
    }

    // Rule 7: no connection more than expected.

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void extraConnectionIsRefused(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            startPrecopy(qemus, by(Conduct.good()));
            try (SocketChannel extra = relay().connectExtra()) {
                assertThat(extra.read(ByteBuffer.allocate(1))).isEqualTo(-1);
            }
            letGo(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }

    /** Where the preempt channel comes at the switch. */
    private static String newestMachine() {
        return "pc";
    }

    private static SocketChannel connect(Path socket) throws Exception {
        return SocketChannel.open(UnixDomainSocketAddress.of(socket));
    }
}
