package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.DaemonProcess;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.SampleGuestProcess;
import io.migrationd.it.peer.SampleGuestProcess.Check;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Two daemons, a sample guest that runs under the first and one that waits for it under the second. */
final class SamplePair implements AutoCloseable {
    /** For anything that ends by itself: the whole machine may be busy with other builds. */
    static final Duration DEADLINE = Duration.ofMinutes(2);

    static final String GUEST = "web01";
    static final long MEBIBYTE = 1L << 20;

    private final Path sourceFolder;
    private final Path destinationFolder;
    private final List<String> options;
    private final List<Runnable> closings = new ArrayList<>();
    private final DaemonProcess source;
    private final SampleGuestProcess leaving;
    private DaemonProcess destination;
    private SampleGuestProcess arriving;

    private SamplePair(Path folder, List<String> sourceOnly, List<String> options) throws Exception {
        this.options = options;
        sourceFolder = Files.createDirectories(folder.resolve("s"));
        destinationFolder = Files.createDirectories(folder.resolve("d"));
        try {
            source = keep(DaemonProcess.start(sourceFolder));
            destination = keep(DaemonProcess.start(destinationFolder));
            List<String> all = new ArrayList<>(options);
            all.addAll(sourceOnly);
            leaving = keep(SampleGuestProcess.start(source, sourceFolder, GUEST, all.toArray(String[]::new)));
            arriving = keep(startArriving());
        } catch (Exception e) {
            close();
            throw e;
        }
        out().set(Map.of("max-bandwidth", 0));
        out().enable("return-path");
    }

    /** Starts all. Both guests get {@code options}. */
    static SamplePair start(Path folder, String... options) throws Exception {
        return new SamplePair(folder, List.of(), List.of(options));
    }

    /** As the other; the running guest gets {@code sourceOnly} as well. */
    static SamplePair start(Path folder, List<String> sourceOnly, String... options) throws Exception {
        return new SamplePair(folder, sourceOnly, List.of(options));
    }

    private DaemonProcess keep(DaemonProcess daemon) {
        closings.add(daemon::close);
        return daemon;
    }

    private SampleGuestProcess keep(SampleGuestProcess guest) {
        closings.add(guest::close);
        return guest;
    }

    private SampleGuestProcess startArriving() throws Exception {
        List<String> all = new ArrayList<>(options);
        all.add("--incoming");
        return SampleGuestProcess.start(destination, destinationFolder, GUEST, all.toArray(String[]::new));
    }

    DaemonProcess source() {
        return source;
    }

    DaemonProcess destination() {
        return destination;
    }

    SampleGuestProcess leaving() {
        return leaving;
    }

    SampleGuestProcess arriving() {
        return arriving;
    }

    /** The guest at the source. */
    MigrationControl out() {
        return leaving.control(source);
    }

    /** The guest at the destination. */
    MigrationControl in() {
        return arriving.control(destination);
    }

    /** Waits until the source has sent so much of the migration that is under way. */
    void awaitSent(long bytes) throws Exception {
        Await.until(
                bytes + " bytes sent",
                DEADLINE,
                () -> {
                    JsonNode info = out().info();
                    if (info.path("status").asText().equals("failed")) {
                        throw new IOException("failed early: " + info);
                    }
                    return info.path("ram").path("transferred").asLong() >= bytes;
                },
                () -> out().info());
    }

    /** SIGKILL for the daemon of the destination. */
    void killDestinationDaemon() {
        destination.close();
    }

    /** Starts the daemon of the destination again and waits until its guest has come back. */
    void restartDestinationDaemon() throws Exception {
        destination = keep(DaemonProcess.start(destinationFolder));
        arriving.awaitAttached(destination);
    }

    /** SIGKILL for the guest that waits or arrives. */
    void killArrivingGuest() {
        arriving.close();
    }

    void restartArrivingGuest() throws Exception {
        arriving = keep(startArriving());
    }

    /** Migrates to {@code uri} and judges the result. */
    void migrateWell(String uri) throws Exception {
        long before = leaving.awaitWrites(source).operations();
        String address = in().incoming(uri);
        out().migrate(address);
        out().awaitStatus("completed", DEADLINE);
        verifyMoved(before);
    }

    /** The guest runs at the destination with all its pages, and the source does not run it any more. */
    void verifyMoved(long operationsBefore) throws Exception {
        in().awaitStatus("completed", DEADLINE);
        assertThat(in().runState()).isEqualTo("running");
        assertThat(out().runState()).isEqualTo("postmigrate");
        verifyChecked(arriving.awaitCheck(
                destination,
                "guest verified at the destination",
                check -> check.verified() && check.operations() > operationsBefore));
        arriving.awaitWrites(destination);
    }

    /**
     * The migration failed or was cancelled: the guest writes on at the source, nothing of it is at the destination.
     */
    void verifyStayed() throws Exception {
        verifyRunsAtSource();
        Await.until(
                "destination waits again",
                DEADLINE,
                () -> in().runState().equals("inmigrate") && !in().status().equals("active"),
                () -> in().info());
        Await.until(
                "destination's memory is empty",
                DEADLINE,
                () -> arriving.memoryBytes() == 0,
                () -> arriving.memoryBytes() + " bytes; " + in().info());
    }

    void verifyRunsAtSource() throws Exception {
        assertThat(out().runState()).isEqualTo("running");
        verifyChecked(leaving.awaitWrites(source));
    }

    private static void verifyChecked(Check check) {
        assertThat(check.violations()).as("violations: %s", check).isZero();
    }

    /** Logs of all processes, for messages. */
    String facts() {
        return String.join("\n", source.facts(), destination.facts(), leaving.facts(), arriving.facts());
    }

    /** In reverse order; what was killed before is closed twice without harm. */
    @Override
    public void close() {
        closings.reversed().forEach(Runnable::run);
    }
}
