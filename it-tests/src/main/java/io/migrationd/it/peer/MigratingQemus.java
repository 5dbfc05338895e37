package io.migrationd.it.peer;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeoutException;

/**
 * Two QEMUs of the same machine in one folder, the source with its guest and the destination that waits for it, with
 * the same capabilities, and a way for the bytes to get across. Nothing is sent before {@link #migrate}.
 */
public final class MigratingQemus implements AutoCloseable {
    private static final Duration DEADLINE = Duration.ofSeconds(30);

    /** Between the end of a QMP connection and that of its process. */
    private static final Duration END_DEADLINE = Duration.ofSeconds(5);

    private final Path folder;
    private final QemuProcess source;
    private final QemuProcess destination;
    private Optional<Crossing> crossing = Optional.empty();
    private int recoveries;

    private MigratingQemus(Path folder, QemuProcess source, QemuProcess destination) {
        this.folder = folder;
        this.source = source;
        this.destination = destination;
    }

    /** Whether the destination starts its guest by itself when the stream says so. */
    public enum Arrival {
        /** As with {@code -S}. */
        STAYS_STOPPED,
        RUNS
    }

    /** Starts both; their guests stand still. {@code arguments} are those of the machine, for both. */
    public static MigratingQemus start(
            QemuBinary sourceQemu, QemuBinary destinationQemu, List<String> arguments, Arrival arrival, Path folder)
            throws Exception {
        QemuProcess source = QemuProcess.start(sourceQemu, "a", arguments, folder);
        try {
            QemuProcess destination = QemuProcess.startIncoming(destinationQemu, "b", arguments, folder);
            if (arrival == Arrival.RUNS) {
                destination.migration().cont();
            }
            return new MigratingQemus(folder, source, destination);
        } catch (Exception e) {
            source.close();
            throw e;
        }
    }

    /** Where the guest is at first. */
    public QemuProcess source() {
        return source;
    }

    /** Where it is to be. */
    public QemuProcess destination() {
        return destination;
    }

    /** Switches capabilities on at both ends. */
    public void enable(String... capabilities) throws Exception {
        source.migration().enable(capabilities);
        destination.migration().enable(capabilities);
    }

    /** Sets parameters at both ends. */
    public void set(Map<String, ?> parameters) throws Exception {
        source.migration().set(parameters);
        destination.migration().set(parameters);
    }

    /** The destination's own socket of the first migration. */
    public Path destinationEnd() {
        return folder.resolve("b.mig");
    }

    /** Has the destination listen, without sending anything. */
    public void listen() throws Exception {
        destination.migration().incoming("unix:" + destinationEnd());
    }

    /** Has the destination listen and the source send. */
    public void migrate(Crossing.Maker maker) throws Exception {
        listen();
        source.migration().migrate("unix:" + cross(maker, destinationEnd()).sourceEnd());
    }

    /** Both are paused in postcopy: goes on over a new way. */
    public void recover(Crossing.Maker maker) throws Exception {
        Path end = folder.resolve("r" + ++recoveries + ".mig");
        destination.migration().recover("unix:" + end);
        Await.until("socket of the recovery", DEADLINE, () -> Files.exists(end), destination::facts);
        source.migration().resume("unix:" + cross(maker, end).sourceEnd());
    }

    private Crossing cross(Crossing.Maker maker, Path destinationEnd) throws Exception {
        if (crossing.isPresent()) {
            crossing.get().close();
        }
        Crossing made = maker.between(folder.resolve("a" + recoveries + ".mig"), destinationEnd);
        crossing = Optional.of(made);
        return made;
    }

    /** Starts postcopy once the first pages have gone. */
    public void startPostcopy() throws Exception {
        source.migration().startPostcopy();
    }

    /** Whether the guest of that QEMU runs: false also if the process has ended. */
    public static boolean runs(QemuProcess qemu) throws Exception {
        try {
            return qemu.isAlive() && qemu.migration().runState().equals("running");
        } catch (IOException e) {
            if (qemu.hasEnded(END_DEADLINE)) {
                return false;
            }
            throw e;
        }
    }

    /** How many copies of the guest run. */
    public int runningCopies() throws Exception {
        return (runs(source) ? 1 : 0) + (runs(destination) ? 1 : 0);
    }

    /** Waits until the source has that status; another final status ends the wait. */
    public void awaitSource(String status) throws Exception {
        source.migration().awaitStatus(status, DEADLINE);
    }

    /** Waits until the destination has that status; another final status ends the wait. */
    public void awaitDestination(String status) throws Exception {
        destination.migration().awaitStatus(status, DEADLINE);
    }

    /** Milliseconds from the source's first STOP to the destination's first RESUME, by the clock that both share. */
    public long downtimeMillis() throws Exception {
        JsonNode stop = source.qmp().awaitEvent("STOP", _ -> true, DEADLINE);
        JsonNode resume = destination.qmp().awaitEvent("RESUME", _ -> true, DEADLINE);
        return millis(resume) - millis(stop);
    }

    private static long millis(JsonNode event) {
        JsonNode time = event.path("timestamp");
        return time.path("seconds").asLong() * 1000 + time.path("microseconds").asLong() / 1000;
    }

    /** Whether that event does not come within {@code window}. */
    public static boolean staysWithout(QemuProcess qemu, String event, Duration window) throws Exception {
        try {
            qemu.qmp().awaitEvent(event, _ -> true, window);
            return false;
        } catch (TimeoutException e) {
            return true;
        }
    }

    /** All that both say, for messages. */
    public String facts() {
        return "source: %s, events %s; destination: %s, events %s; %s"
                .formatted(
                        source.facts(),
                        source.qmp().lastEvents(),
                        destination.facts(),
                        destination.qmp().lastEvents(),
                        crossing.map(Crossing::facts).orElse("no crossing"));
    }

    @Override
    public void close() throws IOException {
        try (source;
                destination) {
            if (crossing.isPresent()) {
                crossing.get().close();
            }
        }
    }
}
