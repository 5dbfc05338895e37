package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MoveHost;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuProcess;
import io.migrationd.it.peer.QmpClient;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Collectors;

/** Two daemons, a link between them, and one guest at {@code a} that both of them can start. */
@SuppressWarnings({"try", "NullAway"}) // A test may be interrupted while it ends; the maps have both hosts.
final class RescueLab implements AutoCloseable {
    static final Duration DEADLINE = Duration.ofSeconds(60);
    static final String GUEST = "web";
    private static final String MACHINE = "pc-i440fx-7.2";

    private final Path folder;
    private final Map<String, DaemonProcess> daemons = new HashMap<>();
    private final Map<String, String> settings = new HashMap<>();
    private final LinkProxy link;
    private final QemuProcess source;

    private RescueLab(Path folder, LinkProxy link, QemuProcess source) {
        this.folder = folder;
        this.link = link;
        this.source = source;
    }

    static RescueLab start(Path folder, QemuBinary qemu, BootGuest shape) throws Exception {
        assumeTrue(qemu.path().isPresent(), qemu.hint());
        int port = MoveHost.freePort();
        InetAddress loopback = InetAddress.getLoopbackAddress();
        Path firmware = Files.write(folder.resolve("guest.bin"), shape.firmware());
        List<String> machine =
                new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none", "-machine", MACHINE));
        machine.addAll(shape.qemuArguments(firmware));
        UUID uuid = UUID.randomUUID();
        for (String host : List.of("a", "b")) {
            Path guests = Files.createDirectories(folder.resolve(host).resolve("guests.d"));
            Files.writeString(guests.resolve(GUEST + ".toml"), definition(folder.resolve(host), uuid, qemu, machine));
        }
        List<String> arguments = new ArrayList<>(machine);
        arguments.addAll(List.of("-uuid", uuid.toString()));
        arguments.addAll(List.of("-qmp", "unix:%s,server=on,wait=off".formatted(monitor(folder.resolve("a")))));
        LinkProxy link =
                LinkProxy.start("daemons", new InetSocketAddress(loopback, 0), new InetSocketAddress(loopback, port));
        RescueLab lab = new RescueLab(folder, link, QemuProcess.start(qemu, "source", arguments, folder.resolve("a")));
        int linkPort = ((InetSocketAddress) link.address()).getPort();
        lab.settings.put("b", peer("b", port, ""));
        lab.settings.put(
                "a", peer("a", MoveHost.freePort(), "[peers]\nb = [\"tcp:127.0.0.1:%d\"]".formatted(linkPort)));
        lab.startDaemon("b");
        lab.startDaemon("a");
        lab.source.migration().cont();
        Scenario.awaitRound(SerialLog.of(lab.source.serial()), 2);
        return lab;
    }

    private static String definition(Path host, UUID uuid, QemuBinary qemu, List<String> machine) {
        List<String> template =
                new ArrayList<>(List.of(qemu.path().orElseThrow().toString()));
        template.addAll(machine);
        template.addAll(List.of("-serial", "file:" + host.resolve("fresh.serial")));
        template.addAll(List.of("-qmp", "unix:" + host.resolve("watch") + ",server=on,wait=off"));
        template.addAll(List.of("-pidfile", host.resolve("fresh.pid").toString()));
        return """
                kind = "qemu"
                uuid = "%s"
                qmp = "%s"
                [incoming]
                argv = [%s]
                """.formatted(
                uuid,
                monitor(host),
                template.stream().map(argument -> "\"" + argument + "\"").collect(Collectors.joining(", ")));
    }

    private static Path monitor(Path host) {
        return host.resolve("monitor");
    }

    private static String peer(String name, int port, String more) {
        return """
                [peer]
                name = "%s"
                listen = "tcp:127.0.0.1:%d"
                %s
                """.formatted(name, port, more);
    }

    /** Also one that has ended, in its place. */
    void startDaemon(String host) throws Exception {
        DaemonProcess before = daemons.get(host);
        if (before != null) {
            before.close();
        }
        daemons.put(host, DaemonProcess.start(folder.resolve(host), settings.get(host)));
    }

    void killDaemon(String host) throws Exception {
        daemons.get(host).kill();
        assertThat(daemons.get(host).hasEnded(DEADLINE)).isTrue();
    }

    LinkProxy link() {
        return link;
    }

    QemuProcess source() {
        return source;
    }

    void move(Map<String, ?> how) throws Exception {
        Map<String, Object> arguments = new HashMap<>(how);
        arguments.putAll(Map.of("guest", GUEST, "to", "b", "retries", 0));
        daemons.get("a").qmp().execute("move-start", arguments);
    }

    void rescue(String kind) throws Exception {
        daemons.get("a").qmp().execute("move-rescue", Map.of("guest", GUEST, "kind", kind));
    }

    JsonNode show() throws Exception {
        return daemons.get("a").qmp().execute("move-show", Map.of("guest", GUEST));
    }

    void awaitPhase(String phase) throws Exception {
        Await.until(
                "phase " + phase, DEADLINE, () -> show().path("phase").asText().equals(phase), this::facts);
    }

    /**
     * Then the daemon has also written that it is paging: it is seen to be in a phase before it has done what follows.
     */
    void awaitRequests() throws Exception {
        Await.until(
                "page requests",
                DEADLINE,
                () -> show().path("progress").path("page-requests").asLong() > 0,
                this::facts);
    }

    void awaitMessage(String part) throws Exception {
        Await.until(part, DEADLINE, () -> show().path("message").asText().contains(part), this::facts);
    }

    JsonNode awaitEnd() throws Exception {
        Await.until("end of the move", DEADLINE, () -> show().has("outcome"), this::facts);
        return show();
    }

    /** What a daemon has written down of the stream, when the package had passed. */
    List<Path> kept() throws IOException {
        Path moves = daemons.get("a").stateFolder().resolve("moves");
        if (!Files.isDirectory(moves)) {
            return List.of();
        }
        try (var files = Files.list(moves)) {
            return files.filter(file -> file.toString().endsWith(".kept")).toList();
        }
    }

    /** Copies that lie about. */
    boolean hasCopy() {
        return Files.exists(daemons.get("a").stateFolder().resolve("rescue").resolve(GUEST));
    }

    /** The QEMU that a daemon has started. */
    Optional<ProcessHandle> fresh(String host) throws IOException {
        Path file = folder.resolve(host).resolve("fresh.pid");
        return Files.exists(file)
                ? ProcessHandle.of(Long.parseLong(Files.readString(file).strip()))
                        .filter(ProcessHandle::isAlive)
                : Optional.empty();
    }

    void killFresh(String host) throws Exception {
        fresh(host).orElseThrow().destroyForcibly();
        Await.until("end of the QEMU at " + host, DEADLINE, () -> fresh(host).isEmpty(), this::facts);
    }

    /** The guest runs in the QEMU that a daemon has started there, and has never noticed anything. */
    void assertRunsAt(String host) throws Exception {
        try (QmpClient qemu = QmpClient.connect("fresh", folder.resolve(host).resolve("watch"))) {
            Await.until(
                    "guest at " + host,
                    DEADLINE,
                    () -> qemu.execute("query-status").path("running").asBoolean(),
                    this::facts);
        }
        SerialLog log = SerialLog.of(source.serial(), folder.resolve(host).resolve("fresh.serial"));
        Scenario.awaitRound(log, log.lastRound() + 3);
        assertThat(log.damage()).isEmpty();
    }

    String facts() throws Exception {
        StringBuilder facts = new StringBuilder(source.facts());
        for (DaemonProcess daemon : daemons.values()) {
            facts.append('\n').append(daemon.facts());
        }
        return facts.toString();
    }

    @Override
    public void close() throws Exception {
        try (source;
                link) {
            for (DaemonProcess daemon : daemons.values()) {
                daemon.close();
            }
        } finally {
            for (String host : List.of("a", "b")) {
                fresh(host).ifPresent(ProcessHandle::destroyForcibly);
            }
        }
    }
}
