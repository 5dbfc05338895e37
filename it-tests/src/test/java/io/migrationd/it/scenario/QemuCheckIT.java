package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.peer.MigrationctlProcess;
import io.migrationd.it.peer.MovedGuest;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.migrationd.sample.BootGuest;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/** {@code migrationctl check} and {@code move --dry-run} with real QEMUs at both ends. */
@DisplayName("Check before a move")
@ExtendWith(RealPeerReport.class)
@Timeout(120)
@SuppressWarnings("try") // A test may be interrupted while it ends.
class QemuCheckIT {
    private static final Duration DEADLINE = Duration.ofSeconds(40);
    private static final BootGuest SMALL = BootGuest.standard(1).withRam(16, 4).resting();
    private static final int DONE = 0;
    private static final int REFUSED = 3;

    @TempDir
    private Path folder;

    private String run(MoveLab lab, int code, String... arguments) throws Exception {
        try (MigrationctlProcess command = MigrationctlProcess.start(lab.a().daemon(), folder, arguments)) {
            assertThat(command.awaitExit(DEADLINE)).as(command::facts).isEqualTo(code);
            return command.facts();
        }
    }

    @Test
    void findsNothingBetweenHostsThatFit() throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.system(), QemuBinary.system())) {
            MovedGuest guest = lab.guest("web", SMALL);
            assertThat(run(lab, DONE, "check", "web", "--to", "b")).doesNotContain("error");
            run(lab, DONE, "move", "web", "--to", "b", "--postcopy", "when-stuck", "--preempt", "--dry-run");
            lab.assertRunsAtSource(guest);
            assertThat(lab.a().daemon().qmp().execute("move-list")).isEmpty();
            lab.assertSound();
        }
    }

    /** An older QEMU, a machine that it doesn't know, too much RAM, another uuid in the way, capabilities at odds. */
    @Test
    void listsEveryProblemAtOnceAndStartsNothing() throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.newer(), QemuBinary.system())) {
            List<String> more = List.of(
                    "-m",
                    "256G",
                    "-object",
                    "memory-backend-ram,id=huge,size=256G,reserve=off",
                    "-machine",
                    "pc-i440fx-10.0,memory-backend=huge");
            MovedGuest guest = lab.guest("web", SMALL, more, List.of());
            String said = run(lab, REFUSED, "check", "web", "--to", "b", "--xbzrle", "--multifd", "2");
            assertThat(said).contains("machine-type", "version-older", "memory", "xbzrle-multifd");
            assertThat(run(lab, REFUSED, "move", "web", "--to", "b", "--dry-run"))
                    .contains("machine-type", "memory");
            assertThat(run(lab, REFUSED, "move", "web", "--to", "b")).contains("machine-type", "memory");
            lab.assertRunsAtSource(guest);
            lab.assertSound();
        }
    }

    @Test
    void saysWhatTheDefinitionsLack() throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.system(), QemuBinary.system())) {
            MovedGuest guest = lab.guest("web", SMALL);
            Path there = lab.b().folder().resolve("guests.d/web.toml");
            String whole = Files.readString(there);

            Files.writeString(there, whole.substring(0, whole.indexOf("[incoming]")));
            assertThat(run(lab, REFUSED, "check", "web", "--to", "b")).contains("no-incoming");

            Files.delete(there);
            assertThat(run(lab, REFUSED, "check", "web", "--to", "b")).contains("no-definition");

            Files.writeString(there, whole);
            Path here = lab.a().folder().resolve("guests.d/web.toml");
            Files.writeString(
                    here,
                    Files.readString(here)
                            .replaceFirst("uuid = \"[^\"]*\"", "uuid = \"%s\"".formatted(UUID.randomUUID())));
            assertThat(run(lab, REFUSED, "check", "web", "--to", "b")).contains("uuid-differs");
            lab.assertRunsAtSource(guest);
        }
    }

    @Test
    void waitsOnlySecondsForADeadLink() throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.system(), QemuBinary.system())) {
            MovedGuest guest = lab.guest("web", SMALL);
            lab.link().refuse();
            lab.link().cut(Cut.SILENCE);
            assertThat(run(lab, REFUSED, "check", "web", "--to", "b")).contains("link");
            assertThat(run(lab, REFUSED, "check", "web", "--to", "nowhere")).contains("nowhere");
            lab.assertRunsAtSource(guest);
            lab.link().heal();
            run(lab, DONE, "check", "web", "--to", "b");
            lab.assertSound();
        }
    }

    @Test
    void knowsAGuestWhoseQemuIsGone() throws Exception {
        try (MoveLab lab = MoveLab.start(folder, QemuBinary.system(), QemuBinary.system())) {
            MovedGuest guest = lab.guest("web", SMALL);
            guest.killSource();
            assertThat(run(lab, REFUSED, "check", "web", "--to", "b")).contains("qemu-unreachable");
            assertThat(run(lab, DONE, "guest", "list")).contains("no answer");
        }
    }
}
