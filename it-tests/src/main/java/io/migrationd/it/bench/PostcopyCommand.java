package io.migrationd.it.bench;

import io.migrationd.it.peer.QemuBinary;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** Fault latency, throughput and recovery of postcopy over loopback, kinds taking turns. */
@Command(
        name = "postcopy",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description =
                "Fault latency, throughput and recovery of postcopy, beside a bare loop in C, kinds taking turns.")
final class PostcopyCommand implements Callable<Integer> {
    private static final String RECOVERY = "recovery";

    @Option(names = "--rounds", defaultValue = "3", description = "Counted rounds. Default: ${DEFAULT-VALUE}.")
    private int rounds;

    @Option(
            names = "--ram",
            paramLabel = "SIZE",
            defaultValue = "512M",
            converter = ByteSize.class,
            description = "RAM of the guest, from 64M to 4G. Default: ${DEFAULT-VALUE}.")
    private long ramBytes;

    @Option(
            names = "--faults",
            paramLabel = "COUNT",
            defaultValue = "10000",
            description = "Faults of an idle run; a loaded one ends with the load. Default: ${DEFAULT-VALUE}.")
    private long faults;

    @Option(names = "--json", description = "Print one JSON document.")
    private boolean json;

    @Option(
            names = "--only",
            paramLabel = "KIND",
            split = ",",
            description =
                    "Only these of: preempt-idle, preempt-loaded, plain-idle, plain-loaded, bare-idle, bare-loaded,"
                            + " precopy, postcopy, recovery, qemu.")
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

    private final List<FaultTurn> faultTurns = new ArrayList<>();
    private final List<CopyTurn> copyTurns = new ArrayList<>();
    private final List<RecoveryTime.Recovery> recoveries = new ArrayList<>();
    private final List<String> missing = new ArrayList<>();

    private record FaultTurn(FaultContender contender, FaultSeries series) {}

    private record CopyTurn(Contender contender, Series series) {}

    @Override
    public Integer call() throws Exception {
        if (launcher.isEmpty()) {
            throw usage("run it as bin/bench, or name bin/migrationd with --launcher");
        }
        if (rounds < 1 || ramBytes < 64L << 20 || ramBytes > 4L << 30) {
            throw usage("at least one round, and RAM from 64M to 4G");
        }
        Path program = Path.of(launcher);
        try (BenchFolder folder = BenchFolder.create();
                DaemonHost first = DaemonHost.start("daemon-a", folder.folder("a"), program);
                DaemonHost second = DaemonHost.start("daemon-b", folder.folder("b"), program);
                TouringGuest guest = new TouringGuest(program, folder.path(), ramBytes, first, second)) {
            addBareLoops(program, folder.path());
            addDaemons(guest);
            addQemu(folder.path());
            takeTurns(new RecoveryTime(guest));
        }
        PostcopyReport report = new PostcopyReport(
                ramBytes,
                rounds,
                faultTurns.stream().map(FaultTurn::series).toList(),
                copyTurns.stream().map(CopyTurn::series).toList(),
                recoveries,
                missing);
        PrintWriter out = spec.commandLine().getOut();
        out.print(json ? report.json() : report.text());
        out.flush();
        return 0;
    }

    private void addBareLoops(Path program, Path folder) throws InterruptedException {
        if (!wanted(FaultLoop.IDLE) && !wanted(FaultLoop.LOADED)) {
            return;
        }
        Path source = program.toAbsolutePath()
                .resolve("../../it-tests/src/main/c/fault-loop.c")
                .normalize();
        try {
            Path compiled = FaultLoop.compile(source, folder);
            add(FaultLoop.idle(compiled, folder, ramBytes, faults));
            add(FaultLoop.loaded(compiled, folder, ramBytes));
        } catch (IOException e) {
            missing.add("bare loop: not measured: " + e.getMessage());
        }
    }

    private void addDaemons(TouringGuest guest) {
        for (boolean preempt : new boolean[] {true, false}) {
            add(new DaemonFaults(guest, preempt, false, faults));
            add(new DaemonFaults(guest, preempt, true, faults));
        }
        for (boolean postcopy : new boolean[] {false, true}) {
            Contender contender = new DaemonBackground(guest, postcopy);
            if (wanted(contender.name())) {
                copyTurns.add(new CopyTurn(contender, new Series(contender.name(), ramBytes)));
            }
        }
    }

    private void addQemu(Path folder) throws IOException, InterruptedException {
        if (!wanted(QemuFaults.NAME)) {
            return;
        }
        QemuBinary newest = QemuBinary.newest();
        if (newest.path().isEmpty()) {
            missing.add("QEMU to QEMU: not measured: " + newest.hint());
        } else if (!QemuFaults.hasLatencies(newest.version())) {
            missing.add("QEMU to QEMU: not available: QEMU %s does not time its faults, 10.1 and later do"
                    .formatted(newest.version()));
        } else {
            add(new QemuFaults(newest, folder));
        }
    }

    private void add(FaultContender contender) {
        if (wanted(contender.name())) {
            faultTurns.add(new FaultTurn(contender, new FaultSeries(contender.name())));
        }
    }

    private boolean wanted(String kind) {
        return only.isEmpty() || only.contains(kind);
    }

    /** Each kind once per round; round 0 finds every JVM cold and is not counted. */
    private void takeTurns(RecoveryTime recovery) throws Exception {
        for (int round = 0; round <= rounds; round++) {
            for (FaultTurn turn : faultTurns) {
                FaultSample sample = turn.contender().run();
                turn.series().add(sample);
                progress(round, turn.contender().name(), sample);
            }
            for (CopyTurn turn : copyTurns) {
                Sample sample = turn.contender().run();
                turn.series().add(sample);
                progress(round, turn.contender().name(), sample);
            }
            if (wanted(RECOVERY)) {
                RecoveryTime.Recovery result = recovery.run();
                progress(round, RECOVERY, result);
                if (round > 0) {
                    recoveries.add(result);
                }
            }
        }
    }

    private void progress(int round, String kind, Object result) {
        PrintWriter err = spec.commandLine().getErr();
        err.printf("round %d %-14s %s%n", round, kind, result);
        err.flush();
    }

    private ParameterException usage(String message) {
        return new ParameterException(spec.commandLine(), message);
    }
}
