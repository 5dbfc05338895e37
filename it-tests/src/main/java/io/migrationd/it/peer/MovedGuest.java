package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * A guest in a QEMU that the test has started at one host, defined at two hosts. Both QEMUs have sockets of their own
 * for the test beside those that the daemons hold.
 */
@SuppressWarnings("try") // A test may be interrupted while it ends.
public final class MovedGuest implements AutoCloseable {
    private static final Duration DEADLINE = Duration.ofSeconds(30);

    private final String name;
    private final MoveHost from;
    private final MoveHost to;
    private final QemuProcess source;
    private final RunWatch watch;

    private MovedGuest(String name, MoveHost from, MoveHost to, QemuProcess source, RunWatch watch) {
        this.name = name;
        this.from = from;
        this.to = to;
        this.source = source;
        this.watch = watch;
    }

    /**
     * Starts it at {@code from}, standing still, and defines it at both.
     *
     * @param machine arguments of both QEMUs
     * @param runner what starts the QEMU at {@code to}, before its program
     */
    public static MovedGuest start(
            String name,
            MoveHost from,
            QemuBinary sourceQemu,
            MoveHost to,
            QemuBinary targetQemu,
            List<String> machine,
            List<String> runner)
            throws Exception {
        UUID uuid = UUID.randomUUID();
        Path monitor = from.folder().resolve(name + ".monitor");
        from.define(name, definition(uuid, monitor, List.of()));
        List<String> template = new ArrayList<>(runner);
        template.add(targetQemu.program());
        template.addAll(machine);
        template.addAll(List.of("-serial", "file:" + to.folder().resolve(name + ".serial")));
        template.addAll(List.of("-qmp", "unix:" + to.folder().resolve(name + ".watch") + ",server=on,wait=off"));
        template.addAll(List.of("-pidfile", to.folder().resolve(name + ".pid").toString()));
        to.define(name, definition(uuid, to.folder().resolve(name + ".monitor"), template));

        Path sourceWatch = from.folder().resolve(name + ".watch");
        List<String> arguments = new ArrayList<>(machine);
        arguments.addAll(List.of("-uuid", uuid.toString()));
        arguments.addAll(List.of("-qmp", "unix:" + monitor + ",server=on,wait=off"));
        arguments.addAll(List.of("-qmp", "unix:" + sourceWatch + ",server=on,wait=off"));
        QemuProcess source = QemuProcess.start(sourceQemu, name, arguments, from.folder());
        return new MovedGuest(
                name, from, to, source, RunWatch.start(sourceWatch, to.folder().resolve(name + ".watch")));
    }

    private static String definition(UUID uuid, Path monitor, List<String> template) {
        String incoming = template.isEmpty()
                ? ""
                : template.stream()
                        .map(argument -> "\"" + argument + "\"")
                        .collect(Collectors.joining(", ", "[incoming]\nargv = [", "]\n"));
        return """
                kind = "qemu"
                uuid = "%s"
                qmp = "%s"
                %s""".formatted(uuid, monitor, incoming);
    }

    /** As the definitions call it. */
    public String name() {
        return name;
    }

    /** The QEMU that it is in at first. */
    public QemuProcess source() {
        return source;
    }

    /** Where it was seen to run. */
    public RunWatch watch() {
        return watch;
    }

    /** The output of the QEMU that it was in at first. */
    public Path sourceSerial() {
        return source.serial();
    }

    /** The output of the QEMU that it came to. */
    public Path targetSerial() {
        return to.folder().resolve(name + ".serial");
    }

    /** The QEMU at the host that it is to move to, if there is one now. */
    public Optional<ProcessHandle> target() throws IOException {
        Path file = to.folder().resolve(name + ".pid");
        if (!Files.exists(file)) {
            return Optional.empty();
        }
        String pid = Files.readString(file).strip();
        return pid.isEmpty()
                ? Optional.empty()
                : ProcessHandle.of(Long.parseLong(pid)).filter(this::isOurs);
    }

    /** Process numbers come again. */
    private boolean isOurs(ProcessHandle process) {
        try {
            String command = Files.readString(
                    Path.of("/proc", Long.toString(process.pid()), "cmdline"), StandardCharsets.ISO_8859_1);
            return command.contains(to.folder().toString());
        } catch (IOException e) {
            return false;
        }
    }

    /** Connects to the socket that the other host's daemon has used, which nobody holds after the move. */
    public void assertMonitorIsFree() throws Exception {
        QmpClient.connect(name, to.folder().resolve(name + ".monitor")).close();
    }

    /** SIGKILL to the QEMU at the other host, and waits until it is gone. */
    public void killTarget() throws Exception {
        ProcessHandle process = target().orElseThrow(() -> new IOException("no QEMU at " + to.name()));
        process.destroyForcibly();
        Await.until("end of the target's QEMU", DEADLINE, () -> target().isEmpty(), this::facts);
    }

    /** SIGKILL to the QEMU that it was in at first. */
    public void killSource() throws Exception {
        ProcessHandle.of(source.pid()).ifPresent(ProcessHandle::destroyForcibly);
        source.awaitExit(DEADLINE);
    }

    /** What both QEMUs have said, for messages. */
    public String facts() throws IOException {
        return "%s: source %s; target %s, log %s; %d samples, source runs %s, target runs %s"
                .formatted(
                        name,
                        source.facts(),
                        target().map(ProcessHandle::info),
                        log(),
                        watch.samples(),
                        watch.sourceRuns(),
                        watch.destinationRuns());
    }

    private String log() throws IOException {
        Path log = to.daemon().runtimeFolder().resolve("qemu").resolve(name).resolve("qemu.log");
        return Files.exists(log)
                ? Files.readString(log, StandardCharsets.ISO_8859_1).strip()
                : "none";
    }

    /** Sockets of byte paths that lie about at both hosts. */
    public List<Path> leftSockets() throws IOException {
        List<Path> left = new ArrayList<>();
        for (MoveHost host : List.of(from, to)) {
            Path folder = host.daemon().runtimeFolder().resolve("moves");
            if (Files.isDirectory(folder)) {
                try (Stream<Path> files = Files.list(folder)) {
                    left.addAll(files.toList());
                }
            }
        }
        return left;
    }

    @Override
    public void close() throws Exception {
        try (source) {
            target().ifPresent(ProcessHandle::destroyForcibly);
            watch.close();
        }
    }
}
