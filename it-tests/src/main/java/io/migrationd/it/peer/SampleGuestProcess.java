package io.migrationd.it.peer;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** A sample guest in a JVM of its own, attached to a daemon, with its files in one folder. */
public final class SampleGuestProcess implements AutoCloseable {
    private static final Duration START_DEADLINE = Duration.ofSeconds(60);
    private static final Duration REPORT_DEADLINE = Duration.ofSeconds(90);
    private static final String MAIN = "io.migrationd.migrationd.Main";
    /** The unit of st_blocks: stat(2). */
    private static final int STAT_BLOCK_BYTES = 512;

    private final String name;
    private final ChildProcess process;

    private SampleGuestProcess(String name, ChildProcess process) {
        this.name = name;
        this.process = process;
    }

    /** What the guest says of itself: docs/guest-protocol.md, "check". */
    public record Check(long violations, boolean verified, long operations, String mode, String firstViolations) {
        private static Check of(JsonNode report) {
            return new Check(
                    report.path("violations").asLong(-1),
                    report.path("verified").asBoolean(),
                    report.path("operations").asLong(),
                    report.path("mode").asText(),
                    report.path("first-violations").toString());
        }
    }

    /** Starts a guest and waits until {@code daemon} knows it. */
    public static SampleGuestProcess start(DaemonProcess daemon, Path folder, String name, String... options)
            throws Exception {
        List<String> command = JavaCommand.ofGuest(
                "128m",
                MAIN,
                "sample-guest",
                "--name",
                name,
                "--socket",
                daemon.guestSocket().toString());
        command.addAll(List.of(options));
        ChildProcess process = ChildProcess.start("guest-" + name, folder, command);
        SampleGuestProcess guest = new SampleGuestProcess(name, process);
        try {
            guest.awaitAttached(daemon);
            return guest;
        } catch (Exception e) {
            process.close();
            throw e;
        }
    }

    /** Waits until {@code daemon} has a connection of this very process. */
    public void awaitAttached(DaemonProcess daemon) throws Exception {
        Await.until(
                "guest " + name + " attached",
                START_DEADLINE,
                () -> {
                    if (!process.isAlive()) {
                        throw new IOException(process.facts());
                    }
                    return isAttached(daemon);
                },
                process::facts);
    }

    private boolean isAttached(DaemonProcess daemon) throws IOException, TimeoutException, InterruptedException {
        for (JsonNode guest : daemon.qmp().execute("guest-list")) {
            if (guest.path("name").asText().equals(name)) {
                JsonNode shown = control(daemon).execute("guest-show", Map.of());
                return shown.path("pid").asLong() == process.pid()
                        && !control(daemon).runState().equals("shutdown");
            }
        }
        return false;
    }

    /** The migration verbs of this guest at {@code daemon}. */
    public MigrationControl control(DaemonProcess daemon) {
        return MigrationControl.of(daemon.qmp(), name);
    }

    /** What the guest has last told {@code daemon}. */
    public Check check(DaemonProcess daemon) throws IOException, TimeoutException, InterruptedException {
        return Check.of(control(daemon).execute("guest-show", Map.of()).path("check"));
    }

    /** Waits for a report that {@code wanted} accepts. */
    public Check awaitCheck(DaemonProcess daemon, String what, Predicate<Check> wanted) throws Exception {
        Await.until(
                what,
                REPORT_DEADLINE,
                () -> wanted.test(check(daemon)),
                () -> check(daemon) + "; " + control(daemon).info() + "; " + process.facts());
        return check(daemon);
    }

    /** Waits until the guest has written on in two reports: one may tell what it did before it was stopped. */
    public Check awaitWrites(DaemonProcess daemon) throws Exception {
        Check last = check(daemon);
        for (int report = 0; report < 2; report++) {
            long before = last.operations();
            last = awaitCheck(daemon, "guest " + name + " writes", check -> check.operations() > before);
        }
        return last;
    }

    /** Bytes of memory that this guest's memfds hold; holes do not count. */
    public long memoryBytes() throws IOException, InterruptedException {
        long blocks = 0;
        try (Stream<Path> links = Files.list(Path.of("/proc/%d/fd".formatted(process.pid())))) {
            for (Path link : links.toList()) {
                if (target(link).startsWith("/memfd:")) {
                    blocks += blocks(link);
                }
            }
        }
        return blocks * STAT_BLOCK_BYTES;
    }

    private static String target(Path link) throws IOException {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (NoSuchFileException closedMeanwhile) {
            return "";
        }
    }

    /** Java has no name for st_blocks. */
    private static long blocks(Path link) throws IOException, InterruptedException {
        Process stat = new ProcessBuilder("stat", "--dereference", "--format=%b", link.toString())
                .redirectErrorStream(true)
                .start();
        String text = new String(stat.getInputStream().readAllBytes(), StandardCharsets.UTF_8).strip();
        if (stat.waitFor() != 0) {
            throw new IOException("stat " + link + ": " + text);
        }
        return Long.parseLong(text);
    }

    /** Process state and output, for messages. */
    public String facts() {
        return process.facts();
    }

    /** Kills the process. */
    @Override
    public void close() {
        process.close();
    }
}
