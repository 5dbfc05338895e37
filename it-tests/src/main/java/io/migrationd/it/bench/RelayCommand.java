package io.migrationd.it.bench;

import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.MoveHost;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.migrationd.sample.BootGuest;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** QEMU to QEMU, direct and through two daemons, kinds taking turns. */
@Command(
        name = "relay",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description = "QEMU to QEMU directly and through two daemons: throughput, downtime and fault latency.",
        footer = {
            "",
            "direct-still, relayed-still: precopy of a guest that stands still: throughput.",
            "direct-alone, direct, direct-unix, relayed: precopy of a guest that runs: downtime. direct-alone is QEMU"
                    + " by itself; direct has a QMP client that does what the daemons do, without a journal;"
                    + " direct-unix has no TCP in it.",
            "direct-idle, relayed-idle: postcopy with a channel of its own for requested pages, and next to no other"
                    + " pages: fault latency. direct-loaded, relayed-loaded: all other pages at once as well."
        })
@SuppressWarnings("try") // A run may be interrupted while it ends.
final class RelayCommand implements Callable<Integer> {
    private static final long LEAST_RAM = 64L << 20;
    private static final long MOST_RAM = 1L << 30;
    /** Of the guest's RAM, what is not cold pages. */
    private static final int OTHER_MEBIBYTES = 16;

    /** QEMU's default, which also sets the window between the daemons. */
    private static final long STILL_LIMIT_MILLIS = 300;

    private static final int IDLE_MEBIBYTES = 32;

    private static final long IDLE_BANDWIDTH = 1 << 20;
    /** So that the guest asks for pages as often as TCG lets it. */
    private static final int FAULT_LOOPS = 100;

    private static final int FAULT_HOT_PAGES = 4;

    @Option(names = "--rounds", defaultValue = "5", description = "Counted rounds. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(
            names = "--ram",
            paramLabel = "SIZE",
            defaultValue = "512M",
            converter = ByteSize.class,
            description =
                    "RAM of the guest, from 64M to 1G, nearly all of it incompressible. Default: ${DEFAULT-VALUE}.")
    private long ramBytes;

    @Option(
            names = "--downtime-limit",
            paramLabel = "MILLIS",
            defaultValue = "10",
            description = "QEMU's limit for a guest that runs; small, so that the last pass, which is QEMU's, is short."
                    + " Default: ${DEFAULT-VALUE}.")
    private long downtimeLimit;

    @Option(
            names = "--qemu",
            paramLabel = "BINARY",
            description = "Of both ends. Default: the one of bin/install-newer-qemu.")
    private Optional<Path> qemu = Optional.empty();

    @Option(names = "--source", paramLabel = "BINARY", description = "Of the source.")
    private Optional<Path> sourceQemu = Optional.empty();

    @Option(names = "--target", paramLabel = "BINARY", description = "Of the destination.")
    private Optional<Path> targetQemu = Optional.empty();

    @Option(
            names = "--machine",
            paramLabel = "TYPE",
            defaultValue = "pc",
            description = "Machine type of both. Default: ${DEFAULT-VALUE}.")
    private String machine = "pc";

    @Option(
            names = "--fresh-memory",
            description = "Let the kernel find the guest's memory while its pages come. By default QEMU has it before"
                    + " precopy begins, since this takes longer than all else on some virtual machines, and not always"
                    + " the same.")
    private boolean freshMemory;

    @Option(
            names = "--state",
            paramLabel = "FOLDER",
            defaultValue = "${sys:java.io.tmpdir}",
            description = "Where the daemons' journals lie while it runs: on a disk, for what fsync costs."
                    + " Default: ${DEFAULT-VALUE}.")
    private Path state = Path.of("");

    @Option(names = "--only", paramLabel = "KIND", split = ",", description = "Only these kinds.")
    private List<String> only = List.of();

    @Option(names = "--json", description = "Print one JSON document.")
    private boolean json;

    @Option(
            names = "--launcher",
            paramLabel = "PATH",
            hidden = true,
            defaultValue = "${sys:migrationd.launcher:-}",
            description = "bin/migrationd.")
    private String launcher = "";

    @Spec
    private CommandSpec spec = CommandSpec.create();

    private int runs;

    /** What all runs have in common. */
    private record Lab(Path folder, DaemonHost a, DaemonHost b, RelayGuest moved, RelayGuest idle, RelayGuest loaded) {}

    @Override
    public Integer call() throws Exception {
        if (launcher.isEmpty()) {
            throw usage("run it as bin/bench, or name bin/migrationd with --launcher");
        }
        if (rounds < 1 || ramBytes < LEAST_RAM || ramBytes > MOST_RAM) {
            throw usage("at least one round, and RAM from 64M to 1G");
        }
        RelayReport report;
        try (BenchFolder folder = BenchFolder.create();
                BenchFolder journals = BenchFolder.create(state)) {
            int port = MoveHost.freePort();
            try (DaemonHost b = daemon("b", folder, journals, port, "");
                    DaemonHost a = daemon(
                            "a",
                            folder,
                            journals,
                            MoveHost.freePort(),
                            "[peers]\nb = [\"tcp:127.0.0.1:%d\"]\n".formatted(port))) {
                report = measure(new Lab(folder.path(), a, b, movedGuest(), idleGuest(), loadedGuest()));
            }
        }
        PrintWriter out = spec.commandLine().getOut();
        out.print(json ? report.json() : report.text());
        out.flush();
        return 0;
    }

    private DaemonHost daemon(String name, BenchFolder folder, BenchFolder journals, int port, String peers)
            throws Exception {
        String settings = """
                [peer]
                name = "%s"
                listen = "tcp:127.0.0.1:%d"
                %s""".formatted(name, port, peers);
        return DaemonHost.start(name, folder.folder(name), Path.of(launcher), journals.folder(name), settings);
    }

    private BootGuest shape(int mebibytes) {
        return BootGuest.standard(1).withRam(mebibytes, mebibytes - OTHER_MEBIBYTES);
    }

    private RelayGuest movedGuest() {
        return guest(shape((int) (ramBytes >> 20)), !freshMemory);
    }

    private RelayGuest idleGuest() {
        return guest(
                shape(IDLE_MEBIBYTES).withHotPages(FAULT_HOT_PAGES, FAULT_LOOPS).touchingCold(), false);
    }

    private RelayGuest loadedGuest() {
        return guest(
                shape((int) (ramBytes >> 20))
                        .withHotPages(FAULT_HOT_PAGES, FAULT_LOOPS)
                        .touchingCold(),
                false);
    }

    private RelayGuest guest(BootGuest shape, boolean allocated) {
        return new RelayGuest(shape, binary(sourceQemu), binary(targetQemu), machine, allocated);
    }

    private QemuBinary binary(Optional<Path> ofThisEnd) {
        return ofThisEnd
                .or(() -> qemu)
                .map(path -> new QemuBinary("given", Optional.of(path.toAbsolutePath()), ""))
                .orElseGet(QemuBinary::newer);
    }

    private RelayReport measure(Lab lab) throws Exception {
        List<MoveSeries> moves = new ArrayList<>();
        Map<String, FaultSeries> faults = new LinkedHashMap<>();
        PrintWriter progress = spec.commandLine().getErr();
        // Round 0 finds every JVM cold and is not counted.
        for (int round = 0; round <= rounds; round++) {
            for (RelayKind kind : RelayKind.values()) {
                if (!only.isEmpty() && !only.contains(kind.word())) {
                    continue;
                }
                String said;
                if (kind.isPostcopy()) {
                    FaultSample sample = fault(lab, kind);
                    faults.computeIfAbsent(kind.word(), FaultSeries::new).add(sample);
                    said = sample.guest() + " " + sample.cpuSeconds();
                } else {
                    MoveTimes times = move(lab, kind);
                    MoveSeries.of(moves, kind).add(times);
                    said = times.toString();
                }
                progress.printf("round %d %-15s %s%n", round, kind.word(), said);
                progress.flush();
            }
        }
        return new RelayReport(
                lab.moved().sourceQemu().version(),
                lab.moved().targetQemu().version(),
                ramBytes,
                freshMemory,
                downtimeLimit,
                rounds,
                moves,
                List.copyOf(faults.values()));
    }

    private RelayRun start(Lab lab, RelayKind kind, RelayGuest guest, Path folder) throws Exception {
        return kind.isRelayed()
                ? new RelayedRun(guest, folder, lab.a(), lab.b(), kind)
                : new DirectRun(guest, folder, kind);
    }

    private Path nextFolder(Lab lab) throws IOException {
        return Files.createDirectories(lab.folder().resolve(Integer.toString(runs++)));
    }

    private MoveTimes move(Lab lab, RelayKind kind) throws Exception {
        Path folder = nextFolder(lab);
        boolean running = kind.isRunning();
        try (RelayRun run = start(lab, kind, lab.moved(), folder)) {
            Map<String, Double> before = run.cpuSeconds();
            long limit = running ? downtimeLimit : STILL_LIMIT_MILLIS;
            run.precopy(Map.of("max-bandwidth", RelayRun.NO_CAP, "downtime-limit", limit), running);
            Map<String, Double> spent = since(before, run.cpuSeconds());
            RelayGuest.verify(folder, running);
            return MoveTimes.of(
                    run.source().events(),
                    run.target().events(),
                    MigrationControl.of(run.source()).info(),
                    spent);
        }
    }

    /** Precopy sends next to nothing, so that most pages are still to come. */
    private FaultSample fault(Lab lab, RelayKind kind) throws Exception {
        Path folder = nextFolder(lab);
        RelayGuest guest = kind.isLoaded() ? lab.loaded() : lab.idle();
        try (RelayRun run = start(lab, kind, guest, folder)) {
            Map<String, Double> before = run.cpuSeconds();
            run.postcopy(Map.of(
                    "max-bandwidth",
                    IDLE_BANDWIDTH,
                    "max-postcopy-bandwidth",
                    kind.isLoaded() ? RelayRun.NO_CAP : IDLE_BANDWIDTH,
                    "downtime-limit",
                    STILL_LIMIT_MILLIS));
            Map<String, Double> spent = since(before, run.cpuSeconds());
            RelayGuest.verify(folder, true);
            return new FaultSample(
                    FaultTrace.read(RelayGuest.trace(folder)),
                    Optional.empty(),
                    guest.shape().memoryBytes(),
                    spent);
        }
    }

    private static Map<String, Double> since(Map<String, Double> before, Map<String, Double> now) {
        Map<String, Double> spent = new HashMap<>(now);
        before.forEach((role, seconds) -> spent.merge(role, -seconds, Double::sum));
        return Map.copyOf(spent);
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
