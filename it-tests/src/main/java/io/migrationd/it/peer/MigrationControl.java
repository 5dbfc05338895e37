package io.migrationd.it.peer;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/** The migration verbs of one guest, the same for a QEMU and for a guest of our daemon. */
public final class MigrationControl {
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");
    private static final String PAUSED = "postcopy-paused";

    private final QmpClient qmp;
    private final Map<String, ?> common;

    private MigrationControl(QmpClient qmp, Map<String, ?> common) {
        this.qmp = qmp;
        this.common = common;
    }

    /** Of a QEMU, or of a guest's own socket. */
    public static MigrationControl of(QmpClient qmp) {
        return new MigrationControl(qmp, Map.of());
    }

    /** Of the guest of that name at a daemon's control socket. */
    public static MigrationControl of(QmpClient qmp, String guest) {
        return new MigrationControl(qmp, Map.of("guest", guest));
    }

    /** Runs any command for this guest. */
    public JsonNode execute(String command, Map<String, ?> arguments)
            throws IOException, TimeoutException, InterruptedException {
        return qmp.execute(command, ofThisGuest(arguments));
    }

    private void executeOob(String command, Map<String, ?> arguments)
            throws IOException, TimeoutException, InterruptedException {
        qmp.executeOob(command, ofThisGuest(arguments));
    }

    private Map<String, Object> ofThisGuest(Map<String, ?> arguments) {
        Map<String, Object> all = new HashMap<>(common);
        all.putAll(arguments);
        return all;
    }

    /** migrate-set-capabilities: switches them on. */
    public void enable(String... capabilities) throws IOException, TimeoutException, InterruptedException {
        switchAll(true, capabilities);
    }

    /** migrate-set-capabilities: switches them off. */
    public void disable(String... capabilities) throws IOException, TimeoutException, InterruptedException {
        switchAll(false, capabilities);
    }

    private void switchAll(boolean on, String... capabilities)
            throws IOException, TimeoutException, InterruptedException {
        List<Map<String, Object>> changes = Stream.of(capabilities)
                .map(capability -> Map.<String, Object>of("capability", capability, "state", on))
                .toList();
        execute("migrate-set-capabilities", Map.of("capabilities", changes));
    }

    /** migrate-set-parameters. */
    public void set(Map<String, ?> parameters) throws IOException, TimeoutException, InterruptedException {
        execute("migrate-set-parameters", parameters);
    }

    /** migrate: starts to send the guest to {@code uri}. */
    public void migrate(String uri) throws IOException, TimeoutException, InterruptedException {
        execute("migrate", Map.of("uri", uri));
    }

    /** migrate with resume: a paused postcopy goes on over a new connection to {@code uri}. */
    public void resume(String uri) throws IOException, TimeoutException, InterruptedException {
        execute("migrate", Map.of("uri", uri, "resume", true));
    }

    /** migrate-start-postcopy. */
    public void startPostcopy() throws IOException, TimeoutException, InterruptedException {
        execute("migrate-start-postcopy", Map.of());
    }

    /** migrate-pause, out of band: breaks the connection of a postcopy. */
    public void pause() throws IOException, TimeoutException, InterruptedException {
        executeOob("migrate-pause", Map.of());
    }

    /** migrate-recover, out of band: the destination of a paused postcopy waits for its source at {@code uri}. */
    public void recover(String uri) throws IOException, TimeoutException, InterruptedException {
        executeOob("migrate-recover", Map.of("uri", uri));
    }

    /**
     * migrate-incoming: listens at {@code uri} and returns the address to connect to, with the port that was chosen.
     */
    public String incoming(String uri) throws IOException, TimeoutException, InterruptedException {
        execute("migrate-incoming", Map.of("uri", uri));
        JsonNode address = info().path("socket-address").path(0);
        if (address.isTextual()) {
            return address.asText();
        }
        return switch (address.path("type").asText()) {
            case "inet" ->
                "tcp:" + address.path("host").asText() + ":"
                        + address.path("port").asText();
            case "unix" -> "unix:" + address.path("path").asText();
            default -> throw new IOException("no socket-address after migrate-incoming: " + info());
        };
    }

    /** query-migrate. */
    public JsonNode info() throws IOException, TimeoutException, InterruptedException {
        return execute("query-migrate", Map.of());
    }

    /** The status of query-migrate, {@code none} if there was no migration. */
    public String status() throws IOException, TimeoutException, InterruptedException {
        return info().path("status").asText("none");
    }

    /** The run state of query-status. */
    public String runState() throws IOException, TimeoutException, InterruptedException {
        return execute("query-status", Map.of()).path("status").asText();
    }

    /** cont. */
    public void cont() throws IOException, TimeoutException, InterruptedException {
        execute("cont", Map.of());
    }

    /** stop. */
    public void stop() throws IOException, TimeoutException, InterruptedException {
        execute("stop", Map.of());
    }

    /** Waits until the status is {@code wanted}; another final status ends the wait at once. */
    public void awaitStatus(String wanted, Duration deadline) throws Exception {
        if (wanted.equals(PAUSED) && common.isEmpty()) {
            awaitPaused(deadline);
            return;
        }
        Await.until(
                "migration status " + wanted,
                deadline,
                () -> {
                    String status = status();
                    if (!status.equals(wanted) && ENDS.contains(status)) {
                        throw new IOException("expected migration status %s, got %s".formatted(wanted, facts()));
                    }
                    return status.equals(wanted);
                },
                this::facts);
    }

    /**
     * By the event alone. A QEMU whose guest takes an interrupt while the page of its stack is missing holds its own
     * lock until that page comes, and answers nothing in band.
     */
    private void awaitPaused(Duration deadline) throws Exception {
        JsonNode last = qmp.awaitLastEvent(
                "MIGRATION",
                data -> data.path("status").asText().equals(PAUSED)
                        || ENDS.contains(data.path("status").asText()),
                deadline);
        if (!last.path("data").path("status").asText().equals(PAUSED)) {
            throw new IOException("expected migration status %s, got %s".formatted(PAUSED, last));
        }
    }

    /** Waits until the dirty log was read {@code passes} times: the guest's own writes are being sent by then. */
    public void awaitPasses(int passes, Duration deadline) throws Exception {
        Await.until(
                passes + " passes",
                deadline,
                () -> {
                    JsonNode info = info();
                    boolean reached = info.path("ram").path("dirty-sync-count").asInt() >= passes;
                    if (!reached && ENDS.contains(info.path("status").asText())) {
                        throw new IOException("migration ended before pass %d: %s".formatted(passes, facts()));
                    }
                    return reached;
                },
                this::facts);
    }

    /** Waits until the run state is {@code wanted}. */
    public void awaitRunState(String wanted, Duration deadline) throws Exception {
        Await.until("run state " + wanted, deadline, () -> runState().equals(wanted), this::facts);
    }

    private String facts() throws IOException, TimeoutException, InterruptedException {
        return "run state %s, migration %s, last events %s".formatted(runState(), info(), qmp.lastEvents());
    }
}
