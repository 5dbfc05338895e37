package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpClosedException;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.qmp.QmpMonitor;
import io.migrationd.postcopy.os.Descriptor;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.TreeSet;
import java.util.UUID;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A QEMU, by its QMP socket. Any thread may call; each call has the deadline of the connection. Wire source: QEMU 10.0
 * qapi/migration.json, qapi/run-state.json, qapi/misc.json; tried against 7.2 and 10.0.
 *
 * <p>A QEMU whose main loop is blocked answers no command but {@link #migratePause}, {@link #migrateRecover} and
 * {@link #yankMigration}, which go out of band. Others then fail without having been sent, except the first one: a
 * command that was sent is executed when the loop comes back.
 */
public final class QemuGuest implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(QemuGuest.class);
    private static final UUID NO_UUID = new UUID(0, 0);

    private final QmpMonitor monitor;
    private final Duration timeout;
    private final boolean found;

    private QemuGuest(QmpMonitor monitor, Duration timeout, boolean found) {
        this.monitor = monitor;
        this.timeout = timeout;
        this.found = found;
    }

    /**
     * Connects; a QEMU serves one client per socket.
     *
     * @param timeout for the connection and for each call
     * @param listener of events, also of migration events, which are switched on by capability {@code events}
     */
    public static QemuGuest connect(String name, Path socket, Duration timeout, QmpMonitor.Listener listener)
            throws QmpConnectionException {
        QmpMonitor monitor = QmpMonitor.connect("QEMU " + name, socket, timeout, listener);
        return new QemuGuest(monitor, timeout, false);
    }

    /**
     * Connects so that QEMU keeps the connection when this process ends, if a later one could take it over. QEMU then
     * serves nobody else, until {@link #giveUp}.
     *
     * @param pid of the QEMU, if it is known
     */
    public static QemuGuest connectForGood(
            String name, Path socket, OptionalLong pid, Duration timeout, QmpMonitor.Listener listener)
            throws QmpException, QmpConnectionException {
        QmpMonitor monitor = QmpMonitor.connectKeepable("QEMU " + name, socket, timeout, listener);
        QemuGuest guest = new QemuGuest(monitor, timeout, false);
        if (!monitor.hasOutOfBand()) {
            return guest;
        }
        try {
            if (!KeptMonitor.mayBeFoundByAnother()) {
                throw new IOException("without CAP_SYS_PTRACE Yama lets only a parent do that");
            }
            monitor.leaveCopy(KeptMonitor.NAME, timeout);
            if (KeptMonitor.find(socket, pid).map(QemuGuest::closed).isEmpty()) {
                throw new IOException("it is not among the descriptors of the QEMU");
            }
        } catch (QmpConnectionException e) {
            guest.closeForGood();
            throw e;
        } catch (IOException | QmpException e) {
            log.atWarn()
                    .addKeyValue("guest", name)
                    .addKeyValue("socket", socket)
                    .setCause(e)
                    .log("a new daemon could not take over the connection with this QEMU: it is not kept");
            guest.takeBack();
        }
        return guest;
    }

    private void takeBack() throws QmpConnectionException {
        try {
            run("closefd", Map.of("fdname", KeptMonitor.NAME));
        } catch (QmpConnectionException e) {
            closeForGood();
            throw e;
        } catch (QmpException e) {
            log.atDebug().setCause(e).log("QEMU kept no connection");
        }
    }

    private static boolean closed(Descriptor copy) {
        copy.close();
        return true;
    }

    /**
     * The connection that QEMU keeps, if it does and it may be looked for.
     *
     * @param pid of the QEMU, if it is known
     */
    public static Optional<QemuGuest> findKept(
            String name, Path socket, OptionalLong pid, Duration timeout, QmpMonitor.Listener listener)
            throws QmpConnectionException {
        Optional<Descriptor> kept;
        try {
            kept = KeptMonitor.find(socket, pid);
        } catch (IOException e) {
            log.atWarn().addKeyValue("guest", name).setCause(e).log("what this QEMU keeps can't be looked at");
            return Optional.empty();
        }
        if (kept.isEmpty()) {
            return Optional.empty();
        }
        log.atInfo().addKeyValue("guest", name).addKeyValue("socket", socket).log("going on with a kept connection");
        return Optional.of(
                new QemuGuest(QmpMonitor.adopt("QEMU " + name, socket, kept.get(), timeout, listener), timeout, true));
    }

    /** Whether this is a connection that an earlier process has made, with the settings that it made there. */
    public boolean wasKept() {
        return found;
    }

    /**
     * Closes the connection also where QEMU keeps it, whether it answers or not: from now on it serves others. QEMU is
     * asked to forget the descriptor, too, unless it hangs.
     *
     * @param patience for that question
     */
    public void giveUp(Duration patience) {
        if (!hangs()) {
            try {
                @Nullable Object _ = monitor.execute("closefd", Map.of("fdname", KeptMonitor.NAME), patience);
            } catch (QmpException | QmpConnectionException e) {
                log.atDebug().setCause(e).log("QEMU has not closed its copy of the connection");
            }
        }
        closeForGood();
    }

    private void closeForGood() {
        monitor.closeCopies();
    }

    /** The connection, for what has no operation here. */
    public QmpMonitor monitor() {
        return monitor;
    }

    // ---- migration ----

    /** The migration's status and counters. */
    public QemuMigration queryMigrate() throws QmpException, QmpConnectionException {
        return queryMigrate(timeout);
    }

    /** The same with another deadline. */
    public QemuMigration queryMigrate(Duration within) throws QmpException, QmpConnectionException {
        return QemuMigration.of(monitor.query("query-migrate", Map.of(), within));
    }

    /** Whether a command in band was given up and is not answered yet: another would wait behind it. */
    public boolean hangs() {
        return monitor.hangs();
    }

    /** Capabilities that this QEMU knows and whether they are on. */
    public Map<String, Boolean> capabilities() throws QmpException, QmpConnectionException {
        return queryList("query-migrate-capabilities").stream()
                .filter(item -> item.text("capability").isPresent())
                .collect(Collectors.toUnmodifiableMap(
                        item -> item.text("capability").orElseThrow(),
                        item -> Boolean.TRUE.equals(item.members().get("state"))));
    }

    /**
     * Sets all of them or none: where QEMU refuses, all are as they were before.
     *
     * @return the values before, to put them back
     */
    public Map<String, Boolean> setCapabilities(Map<String, Boolean> wanted)
            throws QmpException, QmpConnectionException {
        Map<String, Boolean> before = capabilities();
        try {
            sendCapabilities(wanted);
        } catch (QmpException refused) {
            // QEMU checks the whole list before it takes any; this holds also if a version does not.
            Map<String, Boolean> after = capabilities();
            Map<String, Boolean> changed = new LinkedHashMap<>(before);
            changed.entrySet().removeIf(entry -> entry.getValue().equals(after.get(entry.getKey())));
            if (!changed.isEmpty()) {
                sendCapabilities(changed);
            }
            throw refused;
        }
        Map<String, Boolean> replaced = new LinkedHashMap<>(before);
        replaced.keySet().retainAll(wanted.keySet());
        return replaced;
    }

    private void sendCapabilities(Map<String, Boolean> wanted) throws QmpException, QmpConnectionException {
        List<Map<String, Object>> list = wanted.entrySet().stream()
                .map(entry -> Map.<String, Object>of("capability", entry.getKey(), "state", entry.getValue()))
                .toList();
        run("migrate-set-capabilities", Map.of("capabilities", list));
    }

    /** Parameters that this QEMU knows and their values: text, numbers and flags. */
    public JsonObject parameters() throws QmpException, QmpConnectionException {
        return query("query-migrate-parameters", Map.of());
    }

    /**
     * Sets all of them or none: QEMU checks the whole before it takes any.
     *
     * @return the values before of those that have one, to put them back
     */
    public Map<String, Object> setParameters(Map<String, ?> wanted) throws QmpException, QmpConnectionException {
        JsonObject before = parameters();
        run("migrate-set-parameters", wanted);
        Map<String, Object> replaced = new LinkedHashMap<>();
        for (String name : wanted.keySet()) {
            Object value = before.members().get(name);
            if (value != null) {
                replaced.put(name, value);
            }
        }
        return replaced;
    }

    /** Starts an outgoing migration. Whether it could connect is told by {@link #queryMigrate}. */
    public void migrate(String uri) throws QmpException, QmpConnectionException {
        run("migrate", Map.of("uri", uri));
    }

    /** Goes on with a postcopy that is paused: the source's half, after the destination's {@link #migrateRecover}. */
    public void migrateResume(String uri) throws QmpException, QmpConnectionException {
        run("migrate", Map.of("uri", uri, "resume", true));
    }

    /** Starts to listen, once in the life of a QEMU that was started with {@code -incoming defer}. */
    public void migrateIncoming(String uri) throws QmpException, QmpConnectionException {
        run("migrate-incoming", Map.of("uri", uri));
    }

    /** Lets a migration pass the gate that it stands at. */
    public void migrateContinue(QemuStatus state) throws QmpException, QmpConnectionException {
        run("migrate-continue", Map.of("state", state.qmpName()));
    }

    /** Asks for postcopy; it begins at the next pass. */
    public void startPostcopy() throws QmpException, QmpConnectionException {
        run("migrate-start-postcopy", Map.of());
    }

    /** Cancels. Never to be called after the gate was passed: it may be executed when the destination has all. */
    public void cancel() throws QmpException, QmpConnectionException {
        run("migrate_cancel", Map.of());
    }

    /** Out of band: cuts a postcopy's connection, so that it pauses. */
    public void migratePause() throws QmpException, QmpConnectionException {
        runOutOfBand("migrate-pause", Map.of());
    }

    /** Out of band: the destination of a paused postcopy listens anew. May be repeated; the last one counts. */
    public void migrateRecover(String uri) throws QmpException, QmpConnectionException {
        runOutOfBand("migrate-recover", Map.of("uri", uri));
    }

    /** Out of band: cuts the migration's connections, also while the main loop is blocked on them. */
    public void yankMigration() throws QmpException, QmpConnectionException {
        runOutOfBand("yank", Map.of("instances", List.of(Map.of("type", "migration"))));
    }

    // ---- run control ----

    /** Whether the guest runs. */
    public QemuRunState status() throws QmpException, QmpConnectionException {
        return status(timeout);
    }

    /** The same with another deadline. */
    public QemuRunState status(Duration within) throws QmpException, QmpConnectionException {
        JsonObject status = monitor.query("query-status", Map.of(), within);
        return new QemuRunState(
                status.text("status").orElse("unknown"),
                Boolean.TRUE.equals(status.members().get("running")));
    }

    /** Stops the vCPUs. Blocks while one waits for a postcopy page. */
    public void stop() throws QmpException, QmpConnectionException {
        run("stop", Map.of());
    }

    /** Lets the vCPUs run. */
    public void cont() throws QmpException, QmpConnectionException {
        run("cont", Map.of());
    }

    /** Ends the QEMU. It may be gone before it answers. */
    public void quit() throws QmpException, QmpConnectionException {
        try {
            run("quit", Map.of());
        } catch (QmpClosedException gone) {
            // That is what was asked for.
        }
    }

    // ---- facts ----

    /** Its version, by the greeting; zeros on a connection that was kept. */
    public QemuVersion version() {
        JsonObject version = monitor.greeting()
                .object("version")
                .flatMap(v -> v.object("qemu"))
                .orElse(JsonObject.EMPTY);
        return new QemuVersion(
                (int) version.number("major").orElse(0),
                (int) version.number("minor").orElse(0),
                (int) version.number("micro").orElse(0));
    }

    /** The machine type, as it stands in the stream. */
    public String machineType() throws QmpException, QmpConnectionException {
        return without(qomType("/machine"), "-machine");
    }

    /** All that a preflight compares. */
    public QemuFacts facts() throws QmpException, QmpConnectionException {
        List<JsonObject> cpus = queryList("query-cpus-fast");
        JsonObject memory = query("query-memory-size-summary", Map.of());
        QemuMigration migration = queryMigrate();
        return new QemuFacts(
                query("query-name", Map.of()).text("name"),
                uuid(),
                version(),
                machineType(),
                cpuModel(cpus),
                cpus.size(),
                Boolean.TRUE.equals(query("query-kvm", Map.of()).members().get("enabled")),
                memory.number("base-memory").orElse(0)
                        + memory.number("plugged-memory").orElse(0),
                blocks(),
                new TreeSet<>(capabilities().keySet()),
                new TreeSet<>(parameters().members().keySet()),
                status(),
                migration.statusText(),
                migration.blockedReasons());
    }

    /** Its uuid, if it has one. */
    public Optional<UUID> uuid() throws QmpException, QmpConnectionException {
        return query("query-uuid", Map.of()).text("UUID").map(UUID::fromString).filter(uuid -> !uuid.equals(NO_UUID));
    }

    /** Its RAM blocks. QMP has no command for them; the text is that of the human monitor. */
    public List<QemuBlock> blocks() throws QmpException, QmpConnectionException {
        Object text = monitor.execute("human-monitor-command", Map.of("command-line", "info ramblock"), timeout);
        return QemuBlock.ofInfoRamblock(String.valueOf(text));
    }

    /** Machine types that this QEMU can run. */
    public List<String> machineTypes() throws QmpException, QmpConnectionException {
        return queryList("query-machines").stream()
                .map(machine -> machine.text("name").orElse(""))
                .toList();
    }

    /** CPU models that this QEMU can run. */
    public List<String> cpuModels() throws QmpException, QmpConnectionException {
        return queryList("query-cpu-definitions").stream()
                .map(model -> model.text("name").orElse(""))
                .toList();
    }

    private String cpuModel(List<JsonObject> cpus) throws QmpException, QmpConnectionException {
        if (cpus.isEmpty()) {
            return "";
        }
        JsonObject first = cpus.getFirst();
        String target = first.text("target").orElse("");
        return without(qomType(first.text("qom-path").orElse("")), "-%s-cpu".formatted(target));
    }

    private String qomType(String path) throws QmpException, QmpConnectionException {
        return monitor.execute("qom-get", Map.of("path", path, "property", "type"), timeout) instanceof String type
                ? type
                : "";
    }

    private static String without(String text, String end) {
        return text.endsWith(end) ? text.substring(0, text.length() - end.length()) : text;
    }

    @Override
    public void close() {
        monitor.close();
    }

    private JsonObject query(String command, Map<String, ?> arguments) throws QmpException, QmpConnectionException {
        return monitor.query(command, arguments, timeout);
    }

    private List<JsonObject> queryList(String command) throws QmpException, QmpConnectionException {
        return monitor.queryList(command, Map.of(), timeout);
    }

    private void run(String command, Map<String, ?> arguments) throws QmpException, QmpConnectionException {
        @Nullable Object _ = monitor.execute(command, arguments, timeout);
    }

    private void runOutOfBand(String command, Map<String, ?> arguments) throws QmpException, QmpConnectionException {
        @Nullable Object _ = monitor.executeOutOfBand(command, arguments, timeout);
    }
}
