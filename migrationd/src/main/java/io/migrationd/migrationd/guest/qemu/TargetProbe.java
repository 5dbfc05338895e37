package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.guest.qemu.TargetFacts.QemuAbilities;
import io.migrationd.migrationd.guest.qemu.TargetFacts.Way;
import io.migrationd.migrationd.qmp.QmpConnectionException;
import io.migrationd.migrationd.qmp.QmpEvents;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Finds out what this host has for a guest that shall come. What a QEMU program can do is asked of a QEMU without a
 * machine that is started for it, once for each program that is on the disk.
 */
public final class TargetProbe {
    private static final Duration START = Duration.ofSeconds(20);
    private static final Duration CALL = Duration.ofSeconds(10);
    private static final int MAX_PROGRAMS = 16;
    private static final Pattern MEM_AVAILABLE = Pattern.compile("(?m)^MemAvailable:\\s+([0-9]+) kB$");

    private record Program(Path path, FileTime changed, long length) {}

    private final String daemonVersion;
    private final Path runRoot;
    private final Map<Program, QemuAbilities> known = new LinkedHashMap<>(); // guarded by this

    /** Probes have their run directories in {@code runRoot}. */
    public TargetProbe(String daemonVersion, Path runRoot) {
        this.daemonVersion = daemonVersion;
        this.runRoot = runRoot;
    }

    /**
     * All of it. What cannot be found out is among the problems.
     *
     * @param clashes guests of this host that stand in the way, as the caller knows them
     */
    public TargetFacts collect(Optional<GuestDefinition> definition, List<String> clashes) {
        List<String> inTheWay = new ArrayList<>(clashes);
        List<String> problems = new ArrayList<>();
        HostFeatures host = HostFeatures.probe();
        Optional<Incoming> incoming = definition.flatMap(GuestDefinition::incoming);
        definition
                .filter(guest -> IncomingQemu.answers(guest.qmp()))
                .ifPresent(guest -> inTheWay.add("a QEMU answers at %s already".formatted(guest.qmp())));
        Optional<QemuAbilities> abilities = Optional.empty();
        Optional<QemuFacts> waiting = Optional.empty();
        Way way = Way.NONE;
        try {
            switch (incoming.orElse(null)) {
                case Incoming.Start start -> {
                    way = Way.START;
                    abilities = Optional.of(abilities(start.argv().getFirst()));
                }
                case Incoming.Waiting there -> {
                    way = Way.WAITING;
                    try (QemuGuest qemu = QemuGuest.connect(
                            definition.map(GuestDefinition::name).orElse(""), there.qmp(), CALL, new QmpEvents())) {
                        waiting = Optional.of(qemu.facts());
                        abilities = Optional.of(abilities(qemu));
                    }
                }
                case null -> {}
            }
        } catch (IOException | QmpException e) {
            problems.add(String.valueOf(e.getMessage()));
        }
        return new TargetFacts(
                daemonVersion,
                definition.map(GuestDefinition::uuid),
                way,
                abilities,
                waiting,
                Files.isReadable(Path.of("/dev/kvm")) && Files.isWritable(Path.of("/dev/kvm")),
                host.has(HostFeature.USERFAULTFD),
                HostFeature.USERFAULTFD.remedy(),
                availableBytes(problems),
                List.copyOf(inTheWay),
                List.copyOf(problems));
    }

    /** What the QEMU program of that name or path can do. One at a time. */
    synchronized QemuAbilities abilities(String program) throws IOException, QmpException {
        Path path = find(program);
        Program key = new Program(path, Files.getLastModifiedTime(path), Files.size(path));
        QemuAbilities cached = known.get(key);
        if (cached != null) {
            return cached;
        }
        QemuAbilities asked = ask(path);
        if (known.size() == MAX_PROGRAMS) {
            known.remove(known.keySet().iterator().next());
        }
        known.put(key, asked);
        return asked;
    }

    private QemuAbilities ask(Path program) throws IOException, QmpException {
        Incoming.Start template =
                new Incoming.Start(List.of(program.toString(), "-machine", "none", "-nodefaults", "-display", "none"));
        // A guest's name never begins with a dot, so that this is nobody's directory.
        GuestDefinition nobody = new GuestDefinition(
                ".probe",
                program,
                new UUID(0, 1),
                runRoot.resolve(".probe.qmp"),
                Optional.of(template),
                MoveDefaults.NONE);
        Files.createDirectories(runRoot);
        IncomingQemu.Started started = IncomingQemu.start(nobody, template, runRoot, START, CALL, new QmpEvents());
        try {
            return abilities(started.monitor());
        } finally {
            started.process().kill(Optional.of(started.monitor()));
            started.process().clean();
            Files.deleteIfExists(nobody.qmp());
        }
    }

    private static QemuAbilities abilities(QemuGuest qemu) throws QmpException, QmpConnectionException {
        return new QemuAbilities(
                qemu.version(),
                new TreeSet<>(qemu.machineTypes()),
                new TreeSet<>(qemu.cpuModels()),
                new TreeSet<>(qemu.capabilities().keySet()),
                new TreeSet<>(qemu.parameters().members().keySet()));
    }

    private static Path find(String program) throws IOException {
        Stream<Path> candidates = program.contains("/")
                ? Stream.of(Path.of(program))
                : Stream.of(System.getenv().getOrDefault("PATH", "").split(File.pathSeparator, -1))
                        .map(folder -> Path.of(folder, program));
        return candidates
                .filter(Files::isExecutable)
                .findFirst()
                .orElseThrow(() -> new GuestException("there is no program " + program));
    }

    private static long availableBytes(List<String> problems) {
        try {
            Matcher matcher = MEM_AVAILABLE.matcher(Files.readString(Path.of("/proc/meminfo")));
            if (matcher.find()) {
                return Long.parseLong(matcher.group(1)) << 10;
            }
            problems.add("/proc/meminfo has no MemAvailable");
        } catch (IOException e) {
            problems.add("free memory is not known: " + e.getMessage());
        }
        return Long.MAX_VALUE;
    }
}
