package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.MovedGuest;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.migrationd.sample.BootGuest;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Moves of real QEMUs by two daemons, from the command to the report. */
@DisplayName("A move of a QEMU guest")
@ExtendWith(RealPeerReport.class)
@Timeout(150)
class QemuMoveIT {
    @TempDir
    private Path folder;

    @FunctionalInterface
    private interface Steps {
        void run(MoveLab lab) throws Exception;
    }

    private void inLab(QemuBinary source, QemuBinary target, Steps steps) throws Exception {
        try (MoveLab lab = MoveLab.start(folder, source, target)) {
            try {
                steps.run(lab);
                lab.assertSound();
            } catch (Exception | AssertionError e) {
                throw new AssertionError(e.getMessage() + "\n" + lab.facts(), e);
            }
        }
    }

    private void inLab(Steps steps) throws Exception {
        inLab(QemuBinary.system(), QemuBinary.system(), steps);
    }

    /** 32 MiB that do not compress. */
    private static BootGuest calm() {
        return BootGuest.standard(1).withRam(64, 32);
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

    /** Postcopy begins in the first pass, when most pages are still to come, and those take some seconds. */
    private static final Map<String, Object> SLOW_POSTCOPY = Map.of(
            "postcopy", "when-stuck",
            "time-budget", 500,
            "max-bandwidth", 8 << 20,
            "max-postcopy-bandwidth", 8 << 20);
}
