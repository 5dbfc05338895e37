package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** QEMU to QEMU, over loopback TCP unless the kind says other. */
final class DirectRun implements RelayRun {
    private static final Duration DEADLINE = Duration.ofMinutes(2);
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");

    private final MeasuredProcess sourceProcess;
    private final MeasuredProcess targetProcess;
    private final QmpClient source;
    private final QmpClient target;
    private final Handover handover;
    private final String uri;

    /** Who says that the guest stops here and runs there. */
    enum Handover {
        /** QEMU alone. */
        BY_ITSELF,
        /**
         * A QMP client, by the same steps as our daemons: the source waits at the gate, the target is started with
         * {@code -S}. It acts on events at once, has no journal and knows both QEMUs: the least that such a client can
         * cost.
         */
        BY_CLIENT
    }

    DirectRun(RelayGuest guest, Path folder, RelayKind kind) throws Exception {
        this.handover = kind.handover();
        this.uri = kind.listenUri(folder);
        List<String> command = guest.command(guest.targetQemu(), "target", folder);
        command.addAll(List.of("-incoming", "defer"));
        if (handover == Handover.BY_CLIENT) {
            command.add("-S");
        }
        if (kind.isPostcopy()) {
            command.addAll(RelayGuest.traceArguments(folder));
        }
        sourceProcess = guest.startSource(folder, List.of());
        targetProcess = MeasuredProcess.start("target", folder, command, Map.of());
        source = sourceProcess.connectQmp(RelayGuest.socket("source", folder));
        target = targetProcess.connectQmp(RelayGuest.socket("target", folder));
        RelayGuest.fill(source, folder, kind.isRunning());
    }

    @Override
    public QmpClient source() {
        return source;
    }

    @Override
    public QmpClient target() {
        return target;
    }

    private String listen(Map<String, Long> parameters, List<String> capabilities) throws Exception {
        MigrationControl receiving = MigrationControl.of(target);
        MigrationControl sending = MigrationControl.of(source);
        List<String> sendingToo = new ArrayList<>(capabilities);
        sendingToo.addAll(List.of("events", "return-path"));
        List<String> receivingToo = new ArrayList<>(capabilities);
        receivingToo.add("events");
        if (handover == Handover.BY_CLIENT) {
            sendingToo.add("pause-before-switchover");
        }
        sending.enable(sendingToo.toArray(String[]::new));
        receiving.enable(receivingToo.toArray(String[]::new));
        sending.set(parameters);
        receiving.set(parameters);
        return receiving.incoming(uri);
    }

    @Override
    public void precopy(Map<String, Long> parameters, boolean running) throws Exception {
        MigrationControl sending = MigrationControl.of(source);
        sending.migrate(listen(parameters, List.of()));
        if (handover == Handover.BY_CLIENT) {
            awaitStatus(source, "pre-switchover");
            sending.execute("migrate-continue", Map.of("state", "pre-switchover"));
        }
        awaitStatus(source, "completed");
        if (running) {
            if (handover == Handover.BY_CLIENT) {
                MigrationControl.of(target).cont();
            }
            target.awaitEvent("RESUME", _ -> true, DEADLINE);
        }
        awaitStatus(target, "completed");
    }

    @Override
    public void postcopy(Map<String, Long> parameters) throws Exception {
        MigrationControl sending = MigrationControl.of(source);
        sending.migrate(listen(parameters, List.of("postcopy-ram", "postcopy-preempt")));
        sending.startPostcopy();
        awaitStatus(source, "completed");
        awaitStatus(target, "completed");
    }

    static void awaitStatus(QmpClient qmp, String wanted) throws Exception {
        JsonNode event = qmp.awaitEvent(
                "MIGRATION",
                data -> data.path("status").asText().equals(wanted)
                        || ENDS.contains(data.path("status").asText()),
                DEADLINE);
        if (!event.path("data").path("status").asText().equals(wanted)) {
            throw new IOException("expected status %s, got %s"
                    .formatted(wanted, MigrationControl.of(qmp).info()));
        }
    }

    @Override
    public Map<String, Double> cpuSeconds() throws IOException {
        return Map.of("source", sourceProcess.cpuSeconds(), "target", targetProcess.cpuSeconds());
    }

    @Override
    public void close() {
        try (sourceProcess;
                targetProcess;
                source;
                target) {
            // Each end in its turn.
        }
    }
}
