package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Conduct;
import io.migrationd.it.peer.MigratingQemus.Arrival;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.migrationd.sample.BootGuest;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The boot guest with much RAM, looking for all of it all the time: what demos and longer scenarios move. */
@DisplayName("Boot guest that touches its cold pages")
class BootGuestIT extends RelayScenario {
    private static final long LINK_BYTES_PER_SECOND = 12 * MEBIBYTE;

    /** 32 MiB of pages to look for: some seconds of such a link. */
    @Override
    BootGuest guest() {
        return BootGuest.standard(2).withRam(256, 32).touchingCold();
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void faultsAllThroughPostcopy(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.enable("postcopy-ram");
            qemus.source().migration().set(Map.of("max-bandwidth", 1_000_000, "max-postcopy-bandwidth", 0));
            qemus.migrate(by(Conduct.good().withRate(LINK_BYTES_PER_SECOND)));
            qemus.startPostcopy();
            awaitBoth(qemus, "completed");
            JsonNode info = qemus.source().migration().info();
            assertThat(info.path("ram").path("postcopy-requests").asInt()).isGreaterThan(50);
            assertThat(info.path("total-time").asLong()).isGreaterThan(2000);
            assertMoved(qemus);
        });
    }

    @ParameterizedTest(name = "{displayName}: {0}")
    @MethodSource("qemus")
    void losesNoWriteInPrecopy(QemuBinary qemu) throws Exception {
        withQemus(qemu, Arrival.RUNS, qemus -> {
            qemus.source().migration().set(Map.of("max-bandwidth", 16 * MEBIBYTE, "downtime-limit", 1));
            qemus.migrate(by(Conduct.good()));
            qemus.source().migration().awaitPasses(3, DEADLINE);
            letGo(qemus);
            awaitBoth(qemus, "completed");
            assertMoved(qemus);
        });
    }
}
