package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.migrationd.guest.qemu.QemuBlock;
import io.migrationd.migrationd.guest.qemu.QemuFacts;
import io.migrationd.migrationd.guest.qemu.QemuGuest;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.guest.qemu.QemuRunState;
import io.migrationd.migrationd.guest.qemu.QemuStatus;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpEvents;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpTimeoutException;
import io.migrationd.migrationd.sample.BootGuest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the daemon does with a QEMU, with real ones. */
@DisplayName("QEMU as a guest")
@ExtendWith(RealPeerReport.class)
@Timeout(120)
class QemuGuestIT {
    private static final Duration CALL = Duration.ofSeconds(20);
    private static final int VCPUS = 2;

    @TempDir
    private Path folder;

    private final QmpEvents events = new QmpEvents();
    private final BootGuest program = BootGuest.standard(VCPUS);

    static Stream<QemuBinary> qemus() {
        return QemuBinary.all().stream();
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void tellsItsFacts(QemuBinary binary) throws Exception {
        try (QemuProcess process = source(binary);
                QemuGuest guest = connect(process, "a")) {
            QemuFacts facts = guest.facts();
            assertThat(facts.name()).contains("a");
            assertThat(facts.uuid()).isEmpty();
            assertThat(facts.version()).hasToString(binary.version());
            assertThat(facts.machineType()).matches("pc-i440fx-[0-9]+[.][0-9]+");
            assertThat(facts.cpuModel()).isEqualTo("qemu64");
            assertThat(facts.vcpus()).isEqualTo(VCPUS);
            assertThat(facts.kvm()).isFalse();
            assertThat(facts.ramBytes()).isEqualTo(program.memoryBytes());
            assertThat(facts.blocks())
                    .contains(new QemuBlock("pc.ram", 4096, program.memoryBytes(), program.memoryBytes()))
                    .extracting(QemuBlock::name)
                    .contains("pc.bios", "/rom@etc/acpi/tables");
            assertThat(facts.capabilities()).contains("return-path", "postcopy-preempt", "pause-before-switchover");
            assertThat(facts.parameters()).contains("downtime-limit", "max-bandwidth");
            assertThat(facts.runState()).isEqualTo(new QemuRunState("prelaunch", false));
            assertThat(facts.migrationStatus()).isEqualTo("none");
            assertThat(facts.blockedReasons()).isEmpty();
            assertThat(guest.machineTypes()).contains(facts.machineType(), "pc-i440fx-7.2");
            assertThat(guest.cpuModels()).contains("qemu64", "max");
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void setsCapabilitiesAndParametersAllOrNone(QemuBinary binary) throws Exception {
        try (QemuProcess process = source(binary);
                QemuGuest guest = connect(process, "a")) {
            assertThat(guest.setCapabilities(Map.of("return-path", true, "xbzrle", true)))
                    .isEqualTo(Map.of("return-path", false, "xbzrle", false));
            assertThatThrownBy(() -> guest.setCapabilities(Map.of("xbzrle", false, "postcopy-preempt", true)))
                    .isInstanceOf(QmpException.class)
                    .hasMessageContaining("postcopy-ram");
            assertThatThrownBy(() -> guest.setCapabilities(Map.of("xbzrle", false, "teleport", true)))
                    .isInstanceOf(QmpException.class)
                    .hasMessageContaining("teleport");
            assertThat(guest.capabilities())
                    .containsEntry("xbzrle", true)
                    .containsEntry("return-path", true)
                    .containsEntry("postcopy-preempt", false);
            assertThat(guest.setParameters(Map.of("downtime-limit", 1234, "max-bandwidth", 5 << 20)))
                    .isEqualTo(Map.of("downtime-limit", 300L, "max-bandwidth", 128L << 20));
            assertThatThrownBy(() -> guest.setParameters(Map.of("downtime-limit", 7, "multifd-channels", 0)))
                    .isInstanceOf(QmpException.class);
            assertThat(guest.parameters().number("downtime-limit")).hasValue(1234);
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void serveOneClientAndTellItOfTheEnd(QemuBinary binary) throws Exception {
        try (QemuProcess process = source(binary)) {
            assertThatThrownBy(() -> QemuGuest.connect("a", folder.resolve("a.qmp"), Duration.ofMillis(300), events))
                    .isInstanceOf(QmpTimeoutException.class)
                    .hasMessageContaining("another client may hold the socket");
            try (QemuGuest guest = connect(process, "a")) {
                guest.quit();
                assertThatThrownBy(() -> drain(Optional.empty())).isInstanceOf(QmpClosedException.class);
                assertThatThrownBy(guest::status).isInstanceOf(QmpClosedException.class);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void keepsAConnectionForTheNextDaemon(QemuBinary binary) throws Exception {
        Path socket = folder.resolve("a.qmp");
        OptionalLong unknown = OptionalLong.empty();
        try (QemuProcess process = source(binary)) {
            process.qmp().close();
            assertThat(QemuGuest.findKept("a", socket, unknown, CALL, events)).isEmpty();
            QemuGuest first = QemuGuest.connectForGood("a", socket, unknown, CALL, events);
            assertThat(first.wasKept()).isFalse();
            assertThat(first.setCapabilities(Map.of("xbzrle", true))).isEqualTo(Map.of("xbzrle", false));
            // As if its process were killed: QEMU is told nothing.
            first.close();
            assertThatThrownBy(() -> QemuGuest.connect("a", socket, Duration.ofMillis(300), events))
                    .isInstanceOf(QmpTimeoutException.class);
            OptionalLong pid = OptionalLong.of(process.pid());
            try (QemuGuest second =
                    QemuGuest.findKept("a", socket, pid, CALL, events).orElseThrow()) {
                assertThat(second.wasKept()).isTrue();
                assertThat(second.capabilities()).containsEntry("xbzrle", true);
                assertThatThrownBy(() -> second.migrateRecover("unix:" + folder.resolve("never")))
                        .as("out of band")
                        .isInstanceOf(QmpException.class)
                        .hasMessageContaining("postcopy is paused");
                second.giveUp(CALL);
            }
            try (QemuGuest third = QemuGuest.connect("a", socket, CALL, events)) {
                assertThat(third.status().running()).isFalse();
                assertThat(QemuGuest.findKept("a", socket, unknown, CALL, events))
                        .isEmpty();
            }
            // A QEMU that hangs, here because it is stopped, need not answer to be free for others afterwards.
            QemuGuest fourth = QemuGuest.connectForGood("a", socket, pid, CALL, events);
            signal(process, "STOP");
            assertThatThrownBy(() -> fourth.queryMigrate(Duration.ofMillis(100)))
                    .isInstanceOf(QmpTimeoutException.class);
            assertThat(fourth.hangs()).isTrue();
            fourth.giveUp(CALL);
            signal(process, "CONT");
            assertThat(QemuGuest.findKept("a", socket, pid, CALL, events)).isEmpty();
            try (QemuGuest fifth = QemuGuest.connect("a", socket, CALL, events)) {
                assertThat(fifth.status().running()).isFalse();
            }
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void movesByPrecopyThroughTheGate(QemuBinary binary) throws Exception {
        try (QemuProcess first = source(binary);
                QemuProcess second = destination(binary);
                QemuGuest source = connect(first, "a");
                QemuGuest destination = connect(second, "b")) {
            source.setCapabilities(Map.of("events", true, "return-path", true, "pause-before-switchover", true));
            source.cont();
            assertThat(source.status().running()).isTrue();
            String uri = "unix:" + folder.resolve("s");
            destination.migrateIncoming(uri);
            assertThat(destination.queryMigrate().listening()).containsExactly(uri);
            assertThat(destination.status().name()).isEqualTo("inmigrate");
            source.migrate(uri);
            awaitStatus(source, QemuStatus.PRE_SWITCHOVER);
            assertThat(source.status().running()).isFalse();
            assertThatThrownBy(() -> source.migrateContinue(QemuStatus.DEVICE)).isInstanceOf(QmpException.class);
            source.migrateContinue(QemuStatus.PRE_SWITCHOVER);
            awaitStatus(source, QemuStatus.COMPLETED);
            awaitStatus(destination, QemuStatus.COMPLETED);
            QemuMigration done = source.queryMigrate();
            assertThat(done.ram().orElseThrow().transferredBytes()).isPositive();
            assertThat(done.ram().orElseThrow().pageSizeBytes()).isEqualTo(4096);
            assertThat(done.status().isIdle()).isTrue();
            assertThat(source.status().name()).isEqualTo("postmigrate");
            assertThat(destination.status()).isEqualTo(new QemuRunState("paused", false));
            destination.cont();
            assertThat(destination.status().running()).isTrue();
            assertThat(drain(Optional.of("completed"))).contains("setup", "active", "pre-switchover", "completed");
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void cancelsBeforeTheGate(QemuBinary binary) throws Exception {
        try (QemuProcess first = source(binary);
                QemuProcess second = destination(binary);
                QemuGuest source = connect(first, "a");
                QemuGuest destination = connect(second, "b")) {
            source.setCapabilities(Map.of("return-path", true));
            source.setParameters(Map.of("max-bandwidth", 4096));
            source.cont();
            String uri = "unix:" + folder.resolve("s");
            destination.migrateIncoming(uri);
            source.migrate(uri);
            awaitStatus(source, QemuStatus.ACTIVE);
            source.cancel();
            awaitStatus(source, QemuStatus.CANCELLED);
            Await.until("the guest runs", CALL, () -> source.status().running(), source::status);
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void recoversAPausedPostcopyOutOfBand(QemuBinary binary) throws Exception {
        try (QemuProcess first = source(binary);
                QemuProcess second = destination(binary);
                QemuGuest source = connect(first, "a");
                QemuGuest destination = connect(second, "b")) {
            Map<String, Boolean> capabilities = Map.of("return-path", true, "postcopy-ram", true);
            source.setCapabilities(capabilities);
            destination.setCapabilities(capabilities);
            source.setParameters(Map.of("max-postcopy-bandwidth", 4096, "max-bandwidth", 1 << 20));
            source.cont();
            String uri = "unix:" + folder.resolve("s");
            destination.migrateIncoming(uri);
            source.migrate(uri);
            awaitStatus(source, QemuStatus.ACTIVE);
            source.stop();
            source.startPostcopy();
            awaitStatus(source, QemuStatus.POSTCOPY_ACTIVE);
            awaitStatus(destination, QemuStatus.POSTCOPY_ACTIVE);
            source.migratePause();
            awaitStatus(source, QemuStatus.POSTCOPY_PAUSED);
            awaitStatus(destination, QemuStatus.POSTCOPY_PAUSED);
            String again = "unix:" + folder.resolve("r");
            destination.migrateRecover(again);
            source.setParameters(Map.of("max-postcopy-bandwidth", 0));
            source.migrateResume(again);
            awaitStatus(source, QemuStatus.COMPLETED);
            awaitStatus(destination, QemuStatus.COMPLETED);
            destination.cont();
            assertThat(destination.status().running()).isTrue();
            assertThat(source.status().running()).isFalse();
        }
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void yanksWhatDoesNotMove(QemuBinary binary) throws Exception {
        try (QemuProcess first = source(binary);
                QemuProcess second = destination(binary);
                QemuGuest source = connect(first, "a");
                QemuGuest destination = connect(second, "b")) {
            source.setCapabilities(Map.of("return-path", true));
            source.setParameters(Map.of("max-bandwidth", 4096));
            source.cont();
            String uri = "unix:" + folder.resolve("s");
            destination.migrateIncoming(uri);
            source.migrate(uri);
            awaitStatus(source, QemuStatus.ACTIVE);
            source.yankMigration();
            awaitStatus(source, QemuStatus.FAILED);
            assertThat(source.queryMigrate().error()).isPresent();
            assertThat(source.status().running()).isTrue();
        }
    }

    private static void awaitStatus(QemuGuest guest, QemuStatus status) throws Exception {
        Await.until(status.qmpName(), CALL, () -> guest.queryMigrate().status() == status, guest::queryMigrate);
    }

    /** Statuses of the migration events so far, at least up to {@code last}. */
    private List<String> drain(Optional<String> last) throws IOException, InterruptedException {
        List<String> statuses = new ArrayList<>();
        long deadline = System.nanoTime() + CALL.toNanos();
        while (last.isEmpty() || !statuses.contains(last.get())) {
            QmpEvent event = events.await(deadline).orElseThrow();
            if (event.name().equals("MIGRATION")) {
                statuses.add(event.data().text("status").orElse(""));
            }
        }
        return statuses;
    }

    private QemuProcess source(QemuBinary binary) throws Exception {
        assumeTrue(binary.path().isPresent(), binary.hint());
        return QemuProcess.start(binary, "a", machine(), folder);
    }

    private static void signal(QemuProcess process, String signal) throws IOException, InterruptedException {
        assertThat(new ProcessBuilder("kill", "-" + signal, Long.toString(process.pid()))
                        .inheritIO()
                        .start()
                        .waitFor())
                .isZero();
    }

    private QemuProcess destination(QemuBinary binary) throws Exception {
        return QemuProcess.startIncoming(binary, "b", machine(), folder);
    }

    private QemuMachine machine() throws IOException {
        Path firmware = Files.write(folder.resolve("guest.bin"), program.firmware());
        return new QemuMachine("pc", program.memoryBytes(), VCPUS, Backend.PLAIN, firmware, false, Optional.empty());
    }

    /** The harness's own connection ends: a QEMU serves one client. */
    private QemuGuest connect(QemuProcess process, String name) throws IOException {
        process.qmp().close();
        return QemuGuest.connect(
                name, folder.resolve(name + ".qmp"), CALL, name.equals("a") ? events : new QmpEvents());
    }
}
