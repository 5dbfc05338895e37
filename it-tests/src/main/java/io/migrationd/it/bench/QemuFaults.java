package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.migrationd.sample.BootGuest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;

/**
 * QEMU to QEMU with preempt, idle link, by QEMU's own statistics: {@code postcopy-latency-dist} of query-migrate (QEMU
 * 10.1 qapi/migration.json) counts faults by powers of two of microseconds, so that a percentile is the upper end of
 * the bucket it lies in. The guest is a {@link BootGuest} under TCG.
 */
final class QemuFaults implements FaultContender {
    static final String NAME = "qemu";

    private static final Duration DEADLINE = Duration.ofMinutes(2);
    private static final int COLD_PAGES = 2048;
    /** So that the guest asks for pages as often as TCG lets it. */
    private static final int DELAY_LOOPS = 100;

    private final QemuBinary binary;
    private final Path folder;
    private final BootGuest guest = new BootGuest(1, COLD_PAGES, 1, 0, DELAY_LOOPS);
    private int runs;

    QemuFaults(QemuBinary binary, Path folder) {
        this.binary = binary;
        this.folder = folder;
    }

    /** Whether a QEMU of that version times its faults. */
    static boolean hasLatencies(String version) {
        String[] parts = version.split("\\.", -1);
        int major = Integer.parseInt(parts[0]);
        return major > 10 || (major == 10 && Integer.parseInt(parts[1]) >= 1);
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public FaultSample run() throws Exception {
        Path run = Files.createDirectories(folder.resolve("qemu-" + runs++));
        Path firmware = Files.write(run.resolve("guest.bin"), guest.firmware());
        QemuMachine machine = new QemuMachine(
                "pc", guest.memoryBytes(), 1, QemuMachine.Backend.MEMFD, firmware, false, Optional.empty());
        try (QemuProcess source = QemuProcess.start(binary, "a", machine, run);
                QemuProcess destination = QemuProcess.startIncoming(binary, "b", machine, run)) {
            MigrationControl sending = source.migration();
            MigrationControl receiving = destination.migration();
            sending.enable("postcopy-ram", "postcopy-preempt");
            receiving.enable("postcopy-ram", "postcopy-preempt", "postcopy-blocktime");
            sending.set(Map.of("max-bandwidth", 1_000_000, "max-postcopy-bandwidth", 1 << 20));
            sending.cont();
            receiving.cont();
            Map<String, Double> before = cpuSeconds(source, destination);
            sending.migrate(receiving.incoming("tcp:127.0.0.1:0"));
            sending.startPostcopy();
            receiving.awaitStatus("completed", DEADLINE);
            sending.awaitStatus("completed", DEADLINE);
            Map<String, Double> spent = new HashMap<>(cpuSeconds(source, destination));
            before.forEach((role, seconds) -> spent.merge(role, -seconds, Double::sum));
            return new FaultSample(timesOf(receiving.info()), Optional.empty(), guest.memoryBytes(), spent);
        }
    }

    private static Map<String, Double> cpuSeconds(QemuProcess source, QemuProcess destination) throws IOException {
        return Map.of(
                "source", ProcFiles.cpuSeconds(Long.toString(source.pid())),
                "destination", ProcFiles.cpuSeconds(Long.toString(destination.pid())));
    }

    static FaultTimes timesOf(JsonNode info) {
        JsonNode buckets = info.path("postcopy-latency-dist");
        long all = 0;
        for (JsonNode bucket : buckets) {
            all += bucket.asLong();
        }
        return new FaultTimes(
                all, upperEnd(buckets, all * 0.5), upperEnd(buckets, all * 0.99), upperEnd(buckets, (double) all));
    }

    private static double upperEnd(JsonNode buckets, double rank) {
        long below = 0;
        for (int i = 0; i < buckets.size(); i++) {
            below += buckets.path(i).asLong();
            if (below > 0 && below >= rank) {
                return 1L << (i + 1);
            }
        }
        return 0;
    }
}
