package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpException;
import io.migrationd.migrationd.sample.BootGuest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Rescues of moves of real QEMUs, by the daemons: what is left when one of the two QEMUs is gone for good. */
@DisplayName("Rescue of a move")
@ExtendWith(RealPeerReport.class)
@Timeout(180)
@SuppressWarnings("try") // A test may be interrupted while it ends.
class MoveRescueIT {
    /** So that there is time between the word of the destination and the grant. */
    private static final Duration WAY_BACK = Duration.ofMillis(700);

    private static final Map<String, Object> POSTCOPY = Map.of(
            "postcopy", "when-stuck", "time-budget", 500, "max-bandwidth", 8 << 20, "max-postcopy-bandwidth", 2 << 20);

    @TempDir
    private Path folder;

    static Stream<QemuBinary> qemus() {
        return Stream.of(QemuBinary.system(), QemuBinary.newer());
    }

    private static BootGuest guest() {
        return BootGuest.standard(1).withRam(64, 32).touchingCold().resting();
    }

    @FunctionalInterface
    private interface Steps {
        void run(RescueLab lab) throws Exception;
    }

    private void inLab(QemuBinary qemu, Steps steps) throws Exception {
        try (RescueLab lab = RescueLab.start(folder, qemu, guest())) {
            try {
                steps.run(lab);
            } catch (Exception | AssertionError e) {
                throw new AssertionError(e.getMessage() + "\n" + lab.facts(), e);
            }
        }
    }

    /** It had the package and was never granted the guest; nobody has to do anything. */
    @ParameterizedTest
    @MethodSource("qemus")
    void guestWhoseDestinationDiedBeforeItRanGoesOnHere(QemuBinary qemu) throws Exception {
        inLab(qemu, lab -> {
            lab.move(POSTCOPY);
            lab.awaitPhase("moving");
            lab.link().delay(Direction.REVERSE, WAY_BACK);
            Await.until("the package", RescueLab.DEADLINE, () -> !lab.kept().isEmpty(), lab::facts);
            lab.killFresh("b");
            JsonNode end = lab.awaitEnd();
            assertThat(end.path("outcome").asText()).as("%s", end).isEqualTo("failed-at-source");
            assertThat(end.path("where").asText()).isEqualTo("source");
            assertThat(end.path("message").asText()).contains("in a new QEMU");
            assertThat(lab.source().hasEnded(RescueLab.DEADLINE)).isTrue();
            lab.assertRunsAt("a");
            assertThat(lab.fresh("b")).isEmpty();
            assertThat(lab.kept()).isEmpty();
            assertThat(lab.hasCopy()).isFalse();
        });
    }

    /** The destination waits for pages, its link is down, and the source's host has to go. */
    @ParameterizedTest
    @MethodSource("qemus")
    void destinationIsServedFromTheCopyOfASourceThatIsGone(QemuBinary qemu) throws Exception {
        inLab(qemu, lab -> {
            lab.move(POSTCOPY);
            lab.awaitPhase("paging");
            lab.awaitRequests();
            assertThatThrownBy(() -> lab.rescue("replace"))
                    .isInstanceOf(QmpException.class)
                    .hasMessageContaining("may have run the guest");
            lab.killDaemon("a");
            lab.link().refuse();
            lab.startDaemon("a");
            lab.awaitPhase("recovering");
            assertThatThrownBy(() -> lab.rescue("serve"))
                    .isInstanceOf(QmpException.class)
                    .hasMessageContaining("no complete copy");
            lab.rescue("drain");
            lab.awaitMessage("every page is here");
            lab.source().kill();
            assertThat(lab.source().hasEnded(RescueLab.DEADLINE)).isTrue();
            lab.link().heal();
            JsonNode end = lab.awaitEnd();
            assertThat(end.path("outcome").asText()).as("%s", end).isEqualTo("moved");
            lab.assertRunsAt("b");
            assertThat(lab.kept()).isEmpty();
            assertThat(lab.hasCopy()).isFalse();
        });
    }
}
