package io.migrationd.migrationd.outgoing;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.migrationd.session.RecoverySettings;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The source against a destination that does what the test says. The rule behind all: before the release any failure
 * leaves the guest running here and the destination without the last byte; after it, the guest stays stopped.
 */
@DisplayName("Outgoing migration")
class OutgoingMigrationTest {
    private static final int PAGES = 256;
    private static final long REPLY_TIMEOUT_MILLIS = 1_500;

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, 5_000);
    private final RecordedEvents events = new RecordedEvents();
    private MemoryGuest guest = new MemoryGuest("g");
    private ScriptedDestination destination;
    private volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;

    @BeforeEach
    void open() throws IOException {
        guest = new MemoryGuest("g").with("m0", PAGES);
        guest.randomize("m0", 7);
        destination = new ScriptedDestination(links, directory);
    }

    @AfterEach
    void close() {
        destination.close();
        guest.close();
        links.close();
    }

    private OutgoingMigration migration(Capability... capabilities) {
        return migration(destination.uri(), () -> guest.calls.add("released in writing"), capabilities);
    }

    private OutgoingMigration migration(MigrationUri uri, OutgoingRequest.Release release, Capability... capabilities) {
        return new OutgoingMigration(new OutgoingRequest(
                "t",
                guest,
                uri,
                links,
                Set.of(capabilities),
                () -> parameters,
                events,
                REPLY_TIMEOUT_MILLIS,
                RecoverySettings.DEFAULTS,
                release));
    }

    private void run(OutgoingMigration migration) throws InterruptedException {
        migration.start();
        awaitEnd(migration);
    }

    private static void awaitEnd(OutgoingMigration migration) throws InterruptedException {
        assertThat(migration.awaitEnd(30_000))
                .as("ends, is %s", migration.status())
                .isTrue();
    }

    /** A migration that never converges by itself: the guest writes faster than the link may carry. */
    private void neverConverge() {
        guest.startWriting(PAGES);
        parameters =
                new MigrationParameters(4 << 20, 0, 0, 64 << 10, 50, 550, 5, 100, 0, PostcopyPolicy.MANUAL, 60_000);
    }

    private void assertRunsHere(OutgoingMigration migration, String status) throws InterruptedException {
        assertThat(migration.info().status()).isEqualTo(status);
        assertThat(migration.isReleased()).isFalse();
        assertThat(guest.runState()).as("runs here").isEqualTo(RunState.RUNNING);
        assertThat(guest.calls).doesNotContain("released in writing", "release").contains("close dirty log");
        destination.awaitEnd();
        assertThat(destination.hasEnd())
                .as("the destination has the end: %s", destination.seen())
                .isFalse();
        assertThat(Thread.getAllStackTraces().keySet())
                .extracting(Thread::getName)
                .doesNotContain("mig-send-t", "mig-rp-t");
    }

    private void assertStillWrites() {
        long before = guest.writes();
        await().until(() -> guest.writes() > before);
    }

    @Test
    void sendsAWholeStream() throws InterruptedException {
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);
        destination.awaitEnd();

        assertThat(destination.seen())
                .containsExactly(
                        "header test-1.0",
                        "OpenReturnPath",
                        "PING 1",
                        "START ram",
                        "END",
                        "FULL cpu",
                        "FULL globalstate",
                        "PING 68",
                        "description",
                        "EOF");
        assertThat(migration.info().errorDesc()).isNull();
        assertThat(events.all())
                .containsExactly("status setup", "status active", "STOP", "status device", "status completed");
        assertThat(guest.calls)
                .containsExactly(
                        "open dirty log", "stopped while running", "released in writing", "release", "close dirty log");
        assertThat(guest.runState()).isEqualTo(RunState.POSTMIGRATE);
        assertThat(migration.info().downtimeMillis()).isNotNull();
        assertThat(migration.cancel()).as("nothing is left to cancel").isTrue();
    }

    @Test
    void withoutReturnPathItIsDoneWhenTheSocketHasTheLastByte() throws InterruptedException {
        OutgoingMigration migration = migration();
        run(migration);
        destination.awaitEnd();

        assertThat(migration.info().status()).isEqualTo("completed");
        assertThat(destination.seen())
                .containsExactly(
                        "header test-1.0", "START ram", "END", "FULL cpu", "FULL globalstate", "description", "EOF");
    }

    @Test
    void aGuestThatWasPausedStaysSo() throws InterruptedException {
        guest.paused();
        run(migration(Capability.RETURN_PATH));

        assertThat(events.all()).doesNotContain("STOP");
        assertThat(guest.calls).doesNotContain("stopped while running");
    }

    @Test
    void aPausedGuestIsStillPausedAfterAFailure() throws InterruptedException {
        guest.paused();
        destination.at("END", ScriptedDestination::cut);
        run(migration(Capability.RETURN_PATH));

        assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
        assertThat(events.all()).doesNotContain("RESUME");
    }

    @Test
    void nobodyListens() throws InterruptedException {
        OutgoingMigration migration =
                migration(MigrationUri.parse("unix:" + directory.resolve("nobody")), () -> {}, Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().status()).isEqualTo("failed");
        assertThat(migration.info().errorDesc()).startsWith("no connection to unix:");
        assertThat(guest.calls).isEmpty();
        assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
    }

    // Cancel, in each phase.

    /**
     * Linux drops what asks for a full queue, so that who connects waits: here for a minute, if cancel did not end it.
     */
    @Test
    void isCancelledWhileItConnects() throws Exception {
        try (Links patient = new Links(60_000, 5_000);
                ServerSocket deaf = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
                SocketChannel first = SocketChannel.open();
                SocketChannel second = SocketChannel.open()) {
            for (SocketChannel queued : List.of(first, second)) {
                queued.connect(deaf.getLocalSocketAddress());
            }
            OutgoingMigration migration = new OutgoingMigration(new OutgoingRequest(
                    "t",
                    guest,
                    new MigrationUri.Tcp("127.0.0.1", deaf.getLocalPort()),
                    patient,
                    Set.of(),
                    () -> parameters,
                    events,
                    REPLY_TIMEOUT_MILLIS,
                    RecoverySettings.DEFAULTS,
                    () -> {}));
            migration.start();
            assertThat(migration.awaitEnd(200)).as("still connecting").isFalse();

            assertThat(migration.cancel()).isTrue();
            awaitEnd(migration);
            assertThat(migration.status()).isEqualTo(OutgoingStatus.CANCELLED);
        }
    }

    /** The operator's cancel and the failure have the same end; neither may leave the migration on its way for ever. */
    @Test
    void aCancelDuringTheHandlingOfAFailureEnds() throws InterruptedException {
        AtomicReference<OutgoingMigration> running = new AtomicReference<>();
        guest.onSaveDevices(() -> {
            throw new GuestException("no devices today");
        });
        guest.onResume(() -> assertThat(running.get().cancel()).isTrue());
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        running.set(migration);

        run(migration);

        assertThat(migration.status()).isEqualTo(OutgoingStatus.CANCELLED);
        assertThat(migration.isBusy()).isFalse();
        assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
    }

    @Test
    void isCancelledInSetup() throws InterruptedException {
        CountDownLatch inSetup = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        guest.onOpenDirtyLog(() -> {
            inSetup.countDown();
            hold(goOn);
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        migration.start();
        inSetup.await();

        assertThat(migration.cancel()).isTrue();
        assertThat(migration.status()).isEqualTo(OutgoingStatus.CANCELLING);
        goOn.countDown();
        awaitEnd(migration);

        assertRunsHere(migration, "cancelled");
        assertThat(events.all()).containsExactly("status setup", "status cancelling", "status cancelled");
    }

    @Test
    void isCancelledInActive() throws InterruptedException {
        neverConverge();
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        migration.start();
        await().until(() -> migration.status() == OutgoingStatus.ACTIVE);

        assertThat(migration.cancel()).isTrue();
        awaitEnd(migration);

        assertRunsHere(migration, "cancelled");
        assertThat(guest.calls).doesNotContain("stopped while running");
        assertStillWrites();
    }

    @Test
    void isCancelledAtTheGate() throws InterruptedException {
        guest.startWriting(4);
        OutgoingMigration migration = migration(Capability.RETURN_PATH, Capability.PAUSE_BEFORE_SWITCHOVER);
        migration.start();
        await().until(() -> migration.status() == OutgoingStatus.PRE_SWITCHOVER);
        assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);

        assertThat(migration.cancel()).isTrue();
        awaitEnd(migration);

        assertRunsHere(migration, "cancelled");
        assertThat(events.all())
                .containsExactly(
                        "status setup",
                        "status active",
                        "STOP",
                        "status pre-switchover",
                        "status cancelling",
                        "RESUME",
                        "status cancelled");
        assertStillWrites();
    }

    @Test
    void isCancelledInDeviceBeforeTheRelease() throws InterruptedException {
        destination.at("PING 68", ScriptedDestination.NOTHING);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        migration.start();
        await().until(() -> destination.seen().contains("PING 68"));
        assertThat(migration.status()).isEqualTo(OutgoingStatus.DEVICE);

        assertThat(migration.cancel()).isTrue();
        awaitEnd(migration);

        assertRunsHere(migration, "cancelled");
    }

    @Test
    void isNotCancelledAfterTheRelease() throws InterruptedException {
        CountDownLatch word = new CountDownLatch(1);
        destination.at("EOF", d -> {
            word.await();
            d.reply(0x0001, 0);
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        migration.start();
        await().until(destination::hasEnd);

        assertThat(migration.cancel()).isFalse();
        assertThat(migration.status()).isEqualTo(OutgoingStatus.DEVICE);
        word.countDown();
        awaitEnd(migration);

        assertThat(migration.info().status()).isEqualTo("completed");
    }

    // The destination fails or goes away before the release.

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        SHUT(1)              | 0001 0004 00000001 | the destination reported failure 1
        SHUT(0) before all   | 0001 0004 00000000 | was shut with status 0
        unknown type         | 0009 0004 00000000 | rp.type at offset 8: expected
        type 0               | 0000 0004 00000000 | rp.type at offset 8: expected
        PONG of 3 bytes      | 0002 0003 000001   | rp.length at offset 10: expected
        length above 512     | 0005 0201 00       | rp.
        request, no block    | 0004 000c 0000000000000000 00001000 | REQ_PAGES without one
        request, outside     | 0003 000f 0000000000100000 00001000 02 "m0" | rp.request at offset 8: expected a range within
        """)
    void aBadWordInPrecopyEndsItAtOnce(String what, String reply, String error) throws InterruptedException {
        if (!what.startsWith("SHUT(0)")) {
            neverConverge();
        }
        destination.at("START ram", d -> d.replyBytes(bytes(reply)));
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc()).as(what).contains(error);
        assertRunsHere(migration, "failed");
    }

    @Test
    void theEndOfTheReturnPathAloneEndsItAtOnce() throws InterruptedException {
        neverConverge();
        destination.at("START ram", ScriptedDestination::endReturnPath);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertRunsHere(migration, "failed");
        assertThat(guest.calls).doesNotContain("stopped while running");
        assertStillWrites();
    }

    @ParameterizedTest
    @CsvSource({"header test-1.0", "START ram", "PART", "END", "FULL cpu", "PING 68"})
    void aCutLeavesTheGuestHere(String element) throws InterruptedException {
        destination.at(element, ScriptedDestination::cut);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc()).isNotNull();
        assertRunsHere(migration, "failed");
    }

    @Test
    void aPongThatNeverComesIsAFailure() throws InterruptedException {
        guest.startWriting(4);
        destination.at("PING 68", ScriptedDestination.NOTHING);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc())
                .startsWith("the destination has not loaded the device state within 1500 ms");
        assertRunsHere(migration, "failed");
        assertStillWrites();
    }

    @Test
    void aReleaseThatCannotBeWrittenKeepsTheGuest() throws InterruptedException {
        OutgoingMigration migration = migration(
                destination.uri(),
                () -> {
                    throw new IOException("the disk is full");
                },
                Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc()).isEqualTo("the disk is full");
        assertRunsHere(migration, "failed");
    }

    @Test
    void aGuestThatDoesNotGiveItsDevicesStaysHere() throws InterruptedException {
        guest.onSaveDevices(() -> {
            throw new GuestException("device cpu is busy");
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc()).isEqualTo("device cpu is busy");
        assertRunsHere(migration, "failed");
    }

    @Test
    void aGuestThatDoesNotStopStaysHere() throws InterruptedException {
        guest.onStop(() -> {
            throw new GuestException("guest g does not answer");
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().errorDesc()).isEqualTo("guest g does not answer");
        assertRunsHere(migration, "failed");
    }

    // After the release.

    @ParameterizedTest
    @ValueSource(strings = {"cut", "reports failure", "garbage", "ends the return path"})
    void afterTheReleaseTheGuestStaysStoppedWhateverTheDestinationDoes(String what) throws InterruptedException {
        destination.at("EOF", d -> {
            switch (what) {
                case "cut" -> d.cut();
                case "reports failure" -> d.reply(0x0001, 1);
                case "garbage" -> d.reply(0x0042, 1);
                default -> d.endReturnPath();
            }
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().status()).isEqualTo("failed");
        assertThat(migration.info().errorDesc()).isNotNull();
        assertThat(migration.isReleased()).isTrue();
        assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
        assertThat(guest.calls).doesNotContain("resume after failure", "release");
        assertThat(events.all()).doesNotContain("RESUME");
    }

    /** Whether the cut is seen before or after the release is the scheduler's choice: the guest runs in one place. */
    @Test
    void aCutAroundTheReleaseNeverLeavesTwoGuests() throws InterruptedException {
        destination.at("PING 68", d -> {
            d.reply(0x0002, 68);
            d.cut();
        });
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        run(migration);

        assertThat(migration.info().status()).isEqualTo("failed");
        assertThat(guest.runState()).isEqualTo(migration.isReleased() ? RunState.FINISH_MIGRATE : RunState.RUNNING);
    }

    @Test
    void closeWhileTheLastWordIsAwaitedDoesNotStartTheGuest() throws InterruptedException {
        destination.at("EOF", ScriptedDestination.NOTHING);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        migration.start();
        await().until(destination::hasEnd);

        migration.close();

        assertThat(migration.awaitEnd(1)).isTrue();
        assertThat(migration.isReleased()).isTrue();
        assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
    }

    // Gates.

    @Test
    void theGateWaitsForItsOperator() throws InterruptedException {
        OutgoingMigration migration = migration(Capability.RETURN_PATH, Capability.PAUSE_BEFORE_SWITCHOVER);
        assertThat(migration.continueSwitchover()).isFalse();
        migration.start();
        await().until(() -> migration.status() == OutgoingStatus.PRE_SWITCHOVER);
        assertThat(migration.awaitEnd(200)).isFalse();
        assertThat(destination.seen()).endsWith("START ram");

        assertThat(migration.continueSwitchover()).isTrue();
        awaitEnd(migration);

        assertThat(migration.info().status()).isEqualTo("completed");
        assertThat(events.all())
                .containsExactly(
                        "status setup",
                        "status active",
                        "STOP",
                        "status pre-switchover",
                        "status device",
                        "status completed");
        assertThat(migration.info().downtime())
                .isNotNull()
                .satisfies(d -> assertThat(d.switchoverGateMicros()).isGreaterThan(200_000));
    }

    @Test
    void theGuestRunsUntilTheDestinationAllowsTheSwitchover() throws IOException, InterruptedException {
        guest.startWriting(4);
        OutgoingMigration migration = migration(Capability.RETURN_PATH, Capability.SWITCHOVER_ACK);
        migration.start();
        long passes = await().until(() -> passes(migration), n -> n > 3);
        assertThat(migration.status()).isEqualTo(OutgoingStatus.ACTIVE);
        assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        await().until(() -> passes(migration) > passes + 3);

        destination.replyBytes(bytes("0007 0000"));
        awaitEnd(migration);

        assertThat(migration.info().status()).isEqualTo("completed");
    }

    private static long passes(OutgoingMigration migration) {
        var ram = migration.info().ram();
        return ram == null ? 0 : ram.dirtySyncCount();
    }

    @Test
    void aLowerBandwidthHolds() throws InterruptedException {
        parameters =
                new MigrationParameters(1 << 20, 2000, 1, 64 << 10, 50, 550, 5, 100, 0, PostcopyPolicy.MANUAL, 60_000);
        OutgoingMigration migration = migration(Capability.RETURN_PATH);
        long start = System.nanoTime();
        run(migration);

        assertThat(migration.info().status()).isEqualTo("completed");
        assertThat(TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start))
                .as("1 MiB at 1 MiB per second")
                .isGreaterThan(600);
    }

    private static void hold(CountDownLatch latch) throws GuestException {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new GuestException("interrupted", e);
        }
    }

    @Test
    void theMemoryOfTheGuestIsNotTouched() throws ErrnoException, InterruptedException {
        byte[] before = guest.contents("m0");

        run(migration(Capability.RETURN_PATH));

        assertThat(guest.contents("m0")).isEqualTo(before);
    }
}
