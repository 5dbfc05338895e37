package io.migrationd.it.bench;

import io.migrationd.it.peer.QemuBinary;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Whole precopy migrations over loopback, kinds taking turns. */
@Command(
        name = "precopy",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description = "Throughput and CPU time of precopy: QEMU, the daemon and a raw copy, kinds taking turns.")
final class PrecopyCommand implements Callable<Integer> {
    private static final long SPARSE_BYTES = 16L << 30;
    /** One MiB in so many holds something: 1 %. */
    private static final int SPARSE_STRIDE = 100;

    @Option(names = "--rounds", defaultValue = "5", description = "Counted rounds. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(
            names = "--ram",
            paramLabel = "SIZE",
            defaultValue = "1G",
            converter = ByteSize.class,
            description = "RAM of the guests, below 2G. Default: ${DEFAULT-VALUE}.")
    private long ramBytes;

    @Option(names = "--json", description = "Print one JSON document.")
    private boolean json;

    @Option(names = "--qemu", paramLabel = "BINARY", description = "Default: the QEMU on the PATH.")
    private Optional<Path> qemu = Optional.empty();

    @Option(
            names = "--only",
            paramLabel = "KIND",
            split = ",",
            description =
                    "Only these of: qemu, qemu-anonymous, daemon, raw, raw-stored, zero-holes, zero-written, sparse.")
    private List<String> only = List.of();

    @Option(
            names = "--launcher",
            paramLabel = "PATH",
            hidden = true,
            defaultValue = "${sys:migrationd.launcher:-}",
            description = "bin/migrationd.")
    private String launcher = "";

    @Spec
    private CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() throws Exception {
        if (launcher.isEmpty()) {
            throw usage("run it as bin/bench, or name bin/migrationd with --launcher");
        }
        if (rounds < 1 || ramBytes >= 2L << 30) {
            throw usage("at least one round, and RAM below 2G");
        }
        PrecopyReport report;
        try (BenchFolder folder = BenchFolder.create();
                DaemonHost first = DaemonHost.start("daemon-a", folder.folder("a"), Path.of(launcher));
                DaemonHost second = DaemonHost.start("daemon-b", folder.folder("b"), Path.of(launcher))) {
            report = measure(folder.path(), first, second);
        }
        PrintWriter out = spec.commandLine().getOut();
        out.print(json ? report.json() : report.text());
        out.flush();
        return 0;
    }

    private PrecopyReport measure(Path folder, DaemonHost first, DaemonHost second) throws Exception {
        Path noise = RamContent.noise(folder.resolve("noise.ram"), ramBytes);
        Path hole = RamContent.hole(folder.resolve("hole.ram"), ramBytes);
        QemuBinary binary =
                qemu.map(path -> new QemuBinary("given", Optional.of(path), "")).orElseGet(QemuBinary::system);
        List<Turn> turns = new ArrayList<>();
        add(turns, new QemuPair(binary, folder, noise, QemuPair.Memory.SHARED), ramBytes);
        add(turns, new QemuPair(binary, folder, noise, QemuPair.Memory.ANONYMOUS), ramBytes);
        DaemonPair full = new DaemonPair("daemon", first, second, noise, DaemonPair.Prepare.NOTHING);
        add(turns, full, ramBytes);
        add(turns, new RawCopy(folder, noise, false), ramBytes);
        add(turns, new RawCopy(folder, noise, true), ramBytes);
        add(turns, new DaemonPair("zero-holes", first, second, hole, DaemonPair.Prepare.NOTHING), ramBytes);
        add(turns, new DaemonPair("zero-written", first, second, hole, RamContent::writeZeroes), ramBytes);
        double heapFull = takeTurns(turns, first, second);
        full.verify();

        Path sparse = RamContent.noise(folder.resolve("sparse.ram"), SPARSE_BYTES, SPARSE_STRIDE);
        List<Turn> large = new ArrayList<>();
        DaemonPair sparsePair = new DaemonPair("sparse", first, second, sparse, DaemonPair.Prepare.NOTHING);
        add(large, sparsePair, SPARSE_BYTES);
        double heapSparse = takeTurns(large, first, second);
        sparsePair.verify();
        turns.addAll(large);
        return new PrecopyReport(
                binary.version(),
                rounds,
                turns.stream().map(Turn::series).toList(),
                new PrecopyReport.Memory(
                        heapFull,
                        heapSparse,
                        Math.max(
                                first.process().peakResidentMib(),
                                second.process().peakResidentMib())));
    }

    private record Turn(Contender contender, Series series) {}

    private void add(List<Turn> turns, Contender contender, long bytes) {
        if (only.isEmpty() || only.contains(contender.name())) {
            turns.add(new Turn(contender, new Series(contender.name(), bytes)));
        }
    }

    /** Each kind once per round; round 0 finds every JVM cold and is not counted. Returns the most heap used, MiB. */
    private double takeTurns(List<Turn> turns, DaemonHost first, DaemonHost second) throws Exception {
        PrintWriter progress = spec.commandLine().getErr();
        double heap = 0;
        for (int round = 0; round <= rounds; round++) {
            for (Turn turn : turns) {
                Sample sample = turn.contender().run();
                turn.series().add(sample);
                progress.printf(
                        "round %d %-14s %6.3f s %s%n",
                        round, turn.contender().name(), sample.seconds(), sample.cpuSeconds());
                progress.flush();
            }
            heap = Math.max(heap, Math.max(first.heapMib(), second.heapMib()));
        }
        return heap;
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
