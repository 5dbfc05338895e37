package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.migrationd.it.peer.QemuBinary;
import io.migrationd.migrationd.guest.qemu.GuestDefinition;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.guest.qemu.IncomingQemu;
import io.migrationd.migrationd.guest.qemu.QemuFacts;
import io.migrationd.migrationd.guest.qemu.QemuProcessId;
import io.migrationd.migrationd.guest.qemu.TargetFacts;
import io.migrationd.migrationd.guest.qemu.TargetProbe;
import io.migrationd.migrationd.qmp.QmpEvents;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The destination's QEMU, started from its definition. */
@DisplayName("An incoming QEMU")
@ExtendWith(RealPeerReport.class)
@Timeout(120)
class IncomingQemuIT {
    private static final Duration CALL = Duration.ofSeconds(20);

    @TempDir
    private Path folder;

    static Stream<QemuBinary> qemus() {
        return QemuBinary.all().stream();
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void isStartedFoundAgainAndEnded(QemuBinary binary) throws Exception {
        GuestDefinition definition = definition(binary);
        IncomingQemu.Started started = start(definition);
        QemuProcessId id = started.process().id();
        QemuFacts facts = started.monitor().facts();
        assertThat(facts.name()).contains("web01");
        assertThat(facts.uuid()).contains(definition.uuid());
        assertThat(facts.runState().name()).isEqualTo("inmigrate");
        started.monitor().migrateIncoming("unix:" + folder.resolve("s"));
        // Its session is its own: nothing that happens to ours reaches it.
        assertThat(Files.readString(Path.of("/proc", Long.toString(id.pid()), "stat"))
                        .split("\\) ", 2)[1]
                        .split(" ", -1)[3])
                .isEqualTo(Long.toString(id.pid()));

        // As a restarted daemon does it: by what the journal says, over a new connection.
        started.monitor().close();
        IncomingQemu found = IncomingQemu.find(definition, folder, id).orElseThrow();
        assertThat(found.isAlive()).isTrue();
        found.kill(Optional.empty());
        assertThat(found.isAlive()).isFalse();
        assertThat(IncomingQemu.find(definition, folder, id)).isEmpty();
        assertThat(found.logTail()).contains("terminating on signal 15");
        found.clean();
        assertThat(folder.resolve("web01")).doesNotExist();
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void quitsAndLeavesRoomForTheNext(QemuBinary binary) throws Exception {
        GuestDefinition definition = definition(binary);
        IncomingQemu.Started first = start(definition);
        first.process().kill(Optional.of(first.monitor()));
        assertThat(first.process().isAlive()).isFalse();
        IncomingQemu.Started second = start(definition);
        second.process().kill(Optional.of(second.monitor()));
    }

    @ParameterizedTest
    @MethodSource("qemus")
    void isProbedForWhatItCanDo(QemuBinary binary) throws Exception {
        GuestDefinition definition = definition(binary);
        TargetProbe probe = new TargetProbe("1.0", folder.resolve("p"));
        TargetFacts facts = probe.collect(Optional.of(definition), List.of("other"));
        assertThat(facts.problems()).isEmpty();
        assertThat(facts.clashes()).containsExactly("other");
        assertThat(facts.uuid()).contains(definition.uuid());
        assertThat(facts.way()).isEqualTo(TargetFacts.Way.START);
        assertThat(facts.availableBytes()).isPositive();
        TargetFacts.QemuAbilities qemu = facts.qemu().orElseThrow();
        assertThat(qemu.version()).hasToString(binary.version());
        assertThat(qemu.machineTypes()).contains("pc-i440fx-7.2");
        assertThat(qemu.cpuModels()).contains("qemu64");
        assertThat(qemu.capabilities()).contains("postcopy-ram");
        assertThat(qemu.parameters()).contains("downtime-limit");
        assertThat(folder.resolve("p")).isEmptyDirectory();
        // The second time it is known.
        assertThat(probe.collect(Optional.of(definition), List.of()).qemu().orElseThrow())
                .isSameAs(qemu);

        IncomingQemu.Started started = start(definition);
        TargetFacts taken = probe.collect(Optional.of(definition), List.of());
        assertThat(taken.clashes()).singleElement().asString().contains("a QEMU answers at");
        started.process().kill(Optional.of(started.monitor()));
        assertThat(probe.collect(Optional.empty(), List.of()).way()).isEqualTo(TargetFacts.Way.NONE);
    }

    private IncomingQemu.Started start(GuestDefinition definition) throws Exception {
        Incoming.Start template = (Incoming.Start) definition.incoming().orElseThrow();
        return IncomingQemu.start(definition, template, folder, CALL, CALL, new QmpEvents());
    }

    private GuestDefinition definition(QemuBinary binary) throws Exception {
        assumeTrue(binary.path().isPresent(), binary.hint());
        Files.writeString(folder.resolve("web01.toml"), """
                kind = "qemu"
                uuid = "%s"
                qmp = "%s"
                [incoming]
                argv = ["%s", "-accel", "tcg", "-nodefaults", "-display", "none", "-machine", "pc", "-m", "64"]
                """.formatted(
                        UUID.randomUUID(), folder.resolve("q"), binary.path().orElseThrow()));
        return new GuestDefinitions(folder).find("web01").orElseThrow();
    }
}
