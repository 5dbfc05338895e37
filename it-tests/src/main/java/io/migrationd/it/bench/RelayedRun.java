package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/** QEMU to QEMU by two daemons: Unix sockets at the QEMUs, plain TCP over loopback between the daemons. */
@SuppressWarnings("try") // A run may be interrupted while it ends.
final class RelayedRun implements RelayRun {
    private static final Duration DEADLINE = Duration.ofMinutes(2);

    /** Not children of this JVM, but to go with it. */
    private static final Set<ProcessHandle> ARRIVED = ConcurrentHashMap.newKeySet();

    static {
        Runtime.getRuntime()
                .addShutdownHook(
                        new Thread(() -> ARRIVED.forEach(ProcessHandle::destroyForcibly), "bench-kill-arrived"));
    }

    private final String name;
    private final Path folder;
    private final DaemonHost a;
    private final DaemonHost b;
    private final MeasuredProcess sourceProcess;
    private final QmpClient source;
    private final QmpClient daemon;
    private Optional<QmpClient> target = Optional.empty();
    /** What the target's QEMU took to start. */
    private double targetStartSeconds;

    RelayedRun(RelayGuest guest, Path folder, DaemonHost a, DaemonHost b, RelayKind kind) throws Exception {
        this.name = "guest" + folder.getFileName();
        this.folder = folder;
        this.a = a;
        this.b = b;
        UUID uuid = UUID.randomUUID();
        Path monitor = folder.resolve("source.monitor");
        List<String> template = guest.command(guest.targetQemu(), "target", folder);
        template.addAll(List.of("-pidfile", pidFile().toString()));
        if (kind.isPostcopy()) {
            template.addAll(RelayGuest.traceArguments(folder));
        }
        a.define(name, definition(uuid, monitor, ""));
        b.define(
                name,
                definition(
                        uuid,
                        folder.resolve("target.monitor"),
                        template.stream()
                                .map(argument -> "\"" + argument + "\"")
                                .collect(Collectors.joining(", ", "[incoming]\nargv = [", "]\n"))));
        sourceProcess = guest.startSource(
                folder, List.of("-uuid", uuid.toString(), "-qmp", "unix:" + monitor + ",server=on,wait=off"));
        source = sourceProcess.connectQmp(RelayGuest.socket("source", folder));
        daemon = a.connect();
        RelayGuest.fill(source, folder, kind.isRunning());
    }

    private static String definition(UUID uuid, Path monitor, String incoming) {
        return """
                kind = "qemu"
                uuid = "%s"
                qmp = "%s"
                %s""".formatted(uuid, monitor, incoming);
    }

    private Path pidFile() {
        return folder.resolve("target.pid");
    }

    @Override
    public QmpClient source() {
        return source;
    }

    @Override
    public QmpClient target() {
        return target.orElseThrow();
    }

    @Override
    public void precopy(Map<String, Long> parameters, boolean running) throws Exception {
        Map<String, Object> how = new HashMap<>(parameters);
        how.put("postcopy", "never");
        how.put("max-downtime", parameters.get("downtime-limit"));
        move(how);
        DirectRun.awaitStatus(source, "completed");
        if (running) {
            target().awaitEvent("RESUME", _ -> true, DEADLINE);
        }
        awaitMoved();
    }

    @Override
    public void postcopy(Map<String, Long> parameters) throws Exception {
        Map<String, Object> how = new HashMap<>(parameters);
        how.put("postcopy", "when-stuck");
        how.put("time-budget", 100);
        how.put("preempt", true);
        move(how);
        // By the event: to ask the daemon all the time would cost it time.
        DirectRun.awaitStatus(source, "completed");
        awaitMoved();
    }

    private void move(Map<String, Object> how) throws Exception {
        how.put("guest", name);
        how.put("to", b.name());
        how.put("keep-source", true);
        how.put("retries", 0);
        var _ = daemon.execute("move-start", how);
        Await.until("the target's QEMU", DEADLINE, this::connectTarget, this::show);
    }

    private boolean connectTarget() throws Exception {
        if (show().has("outcome")) {
            throw new IOException("the move is over: " + show());
        }
        try {
            target = Optional.of(QmpClient.connect("target", RelayGuest.socket("target", folder)));
            targetProcess().ifPresent(ARRIVED::add);
            targetStartSeconds = targetSeconds();
            return true;
        } catch (IOException notYet) {
            return false;
        }
    }

    private JsonNode show() throws Exception {
        return daemon.execute("move-show", Map.of("guest", name));
    }

    private void awaitMoved() throws Exception {
        Await.until("end of the move", DEADLINE, () -> show().has("outcome"), this::show);
        if (!show().path("outcome").asText().equals("moved")) {
            throw new IOException("not moved: " + show());
        }
    }

    private Optional<String> targetPid() throws IOException {
        return Files.exists(pidFile())
                ? Optional.of(Files.readString(pidFile()).strip()).filter(pid -> !pid.isEmpty())
                : Optional.empty();
    }

    private Optional<ProcessHandle> targetProcess() throws IOException {
        return targetPid().flatMap(pid -> ProcessHandle.of(Long.parseLong(pid)));
    }

    @Override
    public Map<String, Double> cpuSeconds() throws IOException {
        return Map.of(
                "source",
                sourceProcess.cpuSeconds(),
                "daemon-a",
                a.process().cpuSeconds(),
                "daemon-b",
                b.process().cpuSeconds(),
                "target",
                targetSeconds() - targetStartSeconds);
    }

    private double targetSeconds() throws IOException {
        Optional<String> pid = targetPid();
        return pid.isPresent() ? ProcFiles.cpuSeconds(pid.get()) : 0;
    }

    @Override
    public void close() throws Exception {
        try (sourceProcess;
                source;
                daemon) {
            target.ifPresent(QmpClient::close);
            Optional<ProcessHandle> process = targetProcess();
            if (process.isPresent()) {
                process.get().destroyForcibly();
                Await.until(
                        "end of the target's QEMU",
                        DEADLINE,
                        () -> !process.get().isAlive(),
                        () -> name);
                ARRIVED.remove(process.get());
            }
        }
    }
}
