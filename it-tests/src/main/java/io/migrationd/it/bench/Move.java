package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.time.Duration;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeoutException;

/**
 * One migration over loopback TCP between two ends that are ready for it. Its end is awaited by events: to ask all the
 * time would cost CPU time of those who are measured.
 */
record Move(
        MigrationControl sending,
        QmpClient sourceQmp,
        MeasuredProcess source,
        MigrationControl receiving,
        QmpClient destinationQmp,
        MeasuredProcess destination) {
    private static final Duration DEADLINE = Duration.ofMinutes(5);
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");

    /** Migrates; the wall time is the source's {@code total-time}. The clients must be new: old events would count. */
    Sample measure() throws IOException, TimeoutException, InterruptedException {
        String address = receiving.incoming("tcp:127.0.0.1:0");
        double sourceBefore = source.cpuSeconds();
        double destinationBefore = destination.cpuSeconds();
        sending.migrate(address);
        awaitCompleted(sourceQmp, sending);
        awaitCompleted(destinationQmp, receiving);
        double sourceCpu = source.cpuSeconds() - sourceBefore;
        double destinationCpu = destination.cpuSeconds() - destinationBefore;
        double seconds = sending.info().path("total-time").asLong() / 1e3;
        return new Sample(seconds, Map.of("source", sourceCpu, "destination", destinationCpu));
    }

    private static void awaitCompleted(QmpClient qmp, MigrationControl control)
            throws IOException, TimeoutException, InterruptedException {
        JsonNode end = qmp.awaitEvent("MIGRATION", data -> ENDS.contains(statusOf(data)), DEADLINE);
        if (!statusOf(end.path("data")).equals("completed")) {
            throw new IOException("expected a completed migration, got " + control.info());
        }
    }

    private static String statusOf(JsonNode data) {
        return data.path("status").asText();
    }
}
