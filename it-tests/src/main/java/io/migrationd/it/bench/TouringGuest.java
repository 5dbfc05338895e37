package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpClient;
import io.migrationd.it.peer.QmpException;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;

/**
 * A sample guest that goes to and fro between two daemons. All its RAM is written; each trip ends in a process of its
 * own, which looks at every page that has come.
 */
final class TouringGuest implements AutoCloseable {
    static final Duration DEADLINE = Duration.ofMinutes(5);

    private static final String NAME = "tourist";
    private static final int PAGE_BYTES = 4096;

    private final Path launcher;
    private final Path folder;
    private final long ramBytes;
    private DaemonHost here;
    private DaemonHost there;
    private MeasuredProcess process;
    private int trips;

    /** Starts it at {@code first} and waits until all its RAM is written. */
    TouringGuest(Path launcher, Path folder, long ramBytes, DaemonHost first, DaemonHost second) throws Exception {
        this.launcher = launcher;
        this.folder = folder;
        this.ramBytes = ramBytes;
        this.here = first;
        this.there = second;
        this.process = start(first, List.of());
        try (QmpClient qmp = first.connect()) {
            awaitAttached(qmp, process);
            awaitCheck(
                    qmp,
                    "guest has written its RAM",
                    check -> check.path("operations").asLong() >= ramBytes / PAGE_BYTES);
        }
    }

    /** How the guest at the destination first touches its pages. */
    enum Touch {
        /** All of them in random order, one after the other. */
        RANDOM("random"),
        /** It leaves them alone. */
        NONE("none");

        private final String option;

        Touch(String option) {
            this.option = option;
        }
    }

    /** What happens between the two ends once the guest waits at the destination. */
    @FunctionalInterface
    interface Steps<T> {
        T run(Trip trip) throws Exception;
    }

    /** One way from one daemon to the other. The clients have seen no event of an earlier one. */
    record Trip(
            QmpClient sourceQmp,
            QmpClient destinationQmp,
            MeasuredProcess source,
            MeasuredProcess destination,
            DaemonHost sourceHost) {
        MigrationControl sending() {
            return MigrationControl.of(sourceQmp, NAME);
        }

        MigrationControl receiving() {
            return MigrationControl.of(destinationQmp, NAME);
        }

        /** Switches capabilities at both ends. */
        void set(String capability, boolean on) throws IOException, TimeoutException, InterruptedException {
            Map<String, Object> change = Map.of("capabilities", List.of(Map.of("capability", capability, "state", on)));
            sending().execute("migrate-set-capabilities", change);
            receiving().execute("migrate-set-capabilities", change);
        }

        /** What the guest at the destination has last said of itself. */
        JsonNode check() throws IOException, TimeoutException, InterruptedException {
            return checkOf(destinationQmp);
        }

        /** Waits for the event of that status at the source and returns its time in seconds. */
        double awaitSource(String status) throws IOException, TimeoutException, InterruptedException {
            return awaitStatus(sourceQmp, sending(), status);
        }

        /** The same at the destination. */
        double awaitDestination(String status) throws IOException, TimeoutException, InterruptedException {
            return awaitStatus(destinationQmp, receiving(), status);
        }

        /** Waits until the guest at the destination says what {@code wanted} accepts. */
        JsonNode awaitCheck(String what, Predicate<JsonNode> wanted) throws Exception {
            return TouringGuest.awaitCheck(destinationQmp, what, wanted);
        }

        /** CPU time of both daemons so far. */
        Map<String, Double> cpuSeconds() throws IOException {
            return Map.of("source", source.cpuSeconds(), "destination", destination.cpuSeconds());
        }

        Map<String, Double> cpuSecondsSince(Map<String, Double> before) throws IOException {
            Map<String, Double> spent = new HashMap<>(cpuSeconds());
            before.forEach((role, seconds) -> spent.merge(role, -seconds, Double::sum));
            return Map.copyOf(spent);
        }
    }

    /** RAM without what the guest itself needs beside it. */
    long ramBytes() {
        return ramBytes;
    }

    /** Goes to the other daemon; {@code steps} ends when both ends have completed. */
    <T> T travel(Touch touch, Steps<T> steps) throws Exception {
        MeasuredProcess arriving = start(there, List.of("--incoming", "--touch", touch.option));
        T result;
        try (QmpClient sourceQmp = here.connect();
                QmpClient destinationQmp = there.connect()) {
            awaitAttached(destinationQmp, arriving);
            result = steps.run(new Trip(sourceQmp, destinationQmp, here.process(), there.process(), here));
            verify(checkOf(destinationQmp));
            process.close();
            remove(sourceQmp);
        } catch (Exception e) {
            arriving.close();
            throw e;
        }
        process = arriving;
        DaemonHost left = here;
        here = there;
        there = left;
        return result;
    }

    private MeasuredProcess start(DaemonHost host, List<String> mode) throws IOException {
        List<String> command = new ArrayList<>(List.of(launcher.toString(), "sample-guest"));
        command.addAll(List.of("--name", NAME, "--socket", host.guestSocket().toString()));
        command.addAll(List.of("--ram", (ramBytes >> 20) + "M", "--rate", "1"));
        command.addAll(mode);
        return MeasuredProcess.start("guest-" + trips++, folder, command, Map.of());
    }

    private static void awaitAttached(QmpClient qmp, MeasuredProcess guest) throws Exception {
        Await.until("guest attached", DEADLINE, () -> isAttached(qmp, guest), guest::log);
    }

    private static boolean isAttached(QmpClient qmp, MeasuredProcess guest) throws Exception {
        for (JsonNode known : qmp.execute("guest-list")) {
            if (known.path("name").asText().equals(NAME)) {
                return qmp.execute("guest-show", Map.of("guest", NAME))
                                .path("pid")
                                .asLong()
                        == guest.pid();
            }
        }
        return false;
    }

    /** The daemon learns of the process' end a moment after it. */
    private static void remove(QmpClient qmp) throws Exception {
        Await.until(
                "guest that has left is forgotten",
                DEADLINE,
                () -> {
                    try {
                        qmp.execute("guest-remove", Map.of("guest", NAME));
                        return true;
                    } catch (QmpException notYet) {
                        return false;
                    }
                },
                () -> qmp.execute("guest-show", Map.of("guest", NAME)));
    }

    private static void verify(JsonNode check) throws IOException {
        if (check.path("violations").asLong(-1) != 0) {
            throw new IOException("the guest found its memory wrong: " + check);
        }
    }

    private static JsonNode checkOf(QmpClient qmp) throws IOException, TimeoutException, InterruptedException {
        return qmp.execute("guest-show", Map.of("guest", NAME)).path("check");
    }

    private static JsonNode awaitCheck(QmpClient qmp, String what, Predicate<JsonNode> wanted) throws Exception {
        Await.until(what, DEADLINE, () -> wanted.test(checkOf(qmp)), () -> checkOf(qmp));
        return checkOf(qmp);
    }

    private static double awaitStatus(QmpClient qmp, MigrationControl control, String status)
            throws IOException, TimeoutException, InterruptedException {
        JsonNode event = qmp.awaitEvent(
                "MIGRATION",
                data -> {
                    String reached = data.path("status").asText();
                    return reached.equals(status) || reached.equals("failed") || reached.equals("cancelled");
                },
                DEADLINE);
        if (!event.path("data").path("status").asText().equals(status)) {
            throw new IOException("expected status %s, got %s".formatted(status, control.info()));
        }
        JsonNode time = event.path("timestamp");
        return time.path("seconds").asLong() + time.path("microseconds").asLong() / 1e6;
    }

    @Override
    public void close() {
        process.close();
    }
}
