package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A real QEMU moves between two daemons of this machine. Its guest is its own firmware: it writes and checks pages all
 * the time and prints every round, so that a round that is missing, comes twice or finds damage shows.
 */
final class DemoQemu implements AutoCloseable {
    private static final String GUEST = "demo";
    private static final String MACHINE = "pc-i440fx-7.2";
    private static final Duration LOOK = Duration.ofMillis(50);
    private static final Duration ROUNDS = Duration.ofSeconds(60);
    private static final Duration CUT = Duration.ofSeconds(5);
    private static final int ROUNDS_AFTER = 3;
    /** In postcopy, so that there is time for what is to be shown. */
    private static final long BACKGROUND_BYTES_PER_SECOND = 6 << 20;

    private static final long LINK_BYTES_PER_SECOND = 48L << 20;

    private final Terminal terminal;
    private final DemoHost source;
    private final DemoHost destination;
    private final Duration timeout;
    private final long downtimeLimitMillis;
    private final UUID uuid = UUID.randomUUID();
    private final String qemu;
    private @Nullable DemoLink link;
    private @Nullable GuestClient moving;
    private int peerPort;

    DemoQemu(Terminal terminal, DemoHost source, DemoHost destination, long timeoutSeconds, long downtimeLimitMillis)
            throws DemoException {
        this.terminal = terminal;
        this.source = source;
        this.destination = destination;
        this.timeout = GuestClient.timeout(timeoutSeconds);
        this.downtimeLimitMillis = downtimeLimitMillis;
        this.qemu = findQemu()
                .orElseThrow(() -> new DemoException(
                        DemoException.HOST_CANNOT,
                        "no qemu-system-x86_64 found: install it (Debian: apt-get install qemu-system-x86), or name it in"
                                + " MIGRATIOND_QEMU"));
    }

    private static Optional<String> findQemu() {
        String named = System.getenv("MIGRATIOND_QEMU");
        if (named != null && !named.isEmpty()) {
            return Files.isExecutable(Path.of(named)) ? Optional.of(named) : Optional.empty();
        }
        String path = System.getenv("PATH");
        return Stream.of((path == null ? "" : path).split(":", -1))
                .map(directory -> Path.of(directory, "qemu-system-x86_64"))
                .filter(Files::isExecutable)
                .map(Path::toString)
                .findFirst();
    }

    /** Precopy. */
    DemoQemuResult plain() throws DemoException, QmpException, DaemonUnreachableException {
        start(BootGuest.standard(1).withRam(128, 96));
        int before = awaitRounds(source, ROUNDS_AFTER);
        MoveView end = move(Map.of("to", "destination", "downtime-limit", downtimeLimitMillis));
        return result("qemu", before, end, List.of());
    }

    /** Postcopy, with everything that may break. */
    DemoQemuResult recovery() throws DemoException, QmpException, DaemonUnreachableException {
        start(BootGuest.standard(1).withRam(160, 64).withHotPages(16_384, 500));
        int before = awaitRounds(source, ROUNDS_AFTER);
        begin(Map.of(
                "to",
                "destination",
                "postcopy",
                "after-first-pass",
                "downtime-limit",
                Math.min(downtimeLimitMillis, 50),
                "max-postcopy-bandwidth",
                BACKGROUND_BYTES_PER_SECOND));
        refuseEnd(await(view -> view.phase().equals("paging")));
        say("the guest runs at the destination; cutting the link between the daemons for %d s"
                .formatted(CUT.toSeconds()));
        DemoLink cutting = openLink();
        cutting.cut();
        refuseEnd(await(MoveView::linkIsDown));
        pass(CUT);
        cutting.restore();
        refuseEnd(await(view -> !view.linkIsDown()));
        say("the link is up again; neither QEMU has noticed");
        say("killing the destination's daemon and starting it again");
        destination.killDaemon();
        startDestination();
        refuseEnd(await(view -> recoveries(view) >= 1 && view.phase().equals("paging")));
        say("both QEMUs have found each other again");
        say("killing the source's daemon and starting it again");
        source.killDaemon();
        startSource();
        MoveView end = await(MoveView::ended);
        List<String> problems = new ArrayList<>();
        if (end.json().number("recoveries").orElse(0) < 1) {
            problems.add("the last daemon of the source has seen no recovery");
        }
        return result("qemu-recovery", before, end, problems);
    }

    private static long recoveries(MoveView view) {
        return view.json().number("recoveries").orElse(0);
    }

    // ---- the stage ----

    private void start(BootGuest guest) throws DemoException, DaemonUnreachableException {
        say("using " + qemu);
        try {
            Files.createDirectories(source.directory());
            Files.createDirectories(destination.directory());
            Path firmware = Files.write(source.directory().resolve("guest.bin"), guest.firmware());
            List<String> machine = new ArrayList<>(
                    List.of(qemu, "-machine", MACHINE, "-accel", "tcg", "-nodefaults", "-display", "none"));
            machine.addAll(guest.qemuArguments(firmware));
            define(source, machine);
            define(destination, machine);
            try (ServerSocket free = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
                peerPort = free.getLocalPort();
            }
            List<String> command = new ArrayList<>(machine);
            command.addAll(List.of("-serial", "file:" + serial(source), "-name", GUEST, "-uuid", uuid.toString()));
            command.addAll(List.of("-qmp", "unix:%s,server=on,wait=off".formatted(monitor(source))));
            say("starting a QEMU with %s of RAM; its guest writes and checks pages all the time"
                    .formatted(Sizes.format(guest.memoryBytes())));
            source.startProgram("qemu", command);
        } catch (IOException e) {
            throw new DemoException("cannot write the demo's files", e);
        }
        say("starting two daemons");
        startDestination();
        startSource();
    }

    private void define(DemoHost host, List<String> machine) throws IOException {
        List<String> argv = new ArrayList<>(machine);
        argv.addAll(List.of("-serial", "file:" + serial(host)));
        Path definitions = Files.createDirectories(host.directory().resolve("guests.d"));
        Files.writeString(definitions.resolve(GUEST + ".toml"), """
                kind = "qemu"
                uuid = "%s"
                qmp = "%s"

                [incoming]
                argv = [%s]
                """.formatted(
                uuid, monitor(host), argv.stream().map("\"%s\""::formatted).collect(Collectors.joining(", "))));
    }

    private void startDestination() throws DemoException, DaemonUnreachableException {
        destination.startDaemon(definitions(destination), """
                [peer]
                name = "destination"
                listen = "tcp:127.0.0.1:%d"
                """.formatted(peerPort));
        destination.connect();
    }

    private void startSource() throws DemoException {
        source.startDaemon(definitions(source), """
                [peer]
                name = "source"

                [peers]
                destination = ["%s"]
                """.formatted(openLink().uri()));
        moving = new GuestClient(source.connect(), GUEST);
    }

    private static String definitions(DemoHost host) {
        return "guest-definitions = \"%s\"".formatted(host.directory().resolve("guests.d"));
    }

    private DemoLink openLink() throws DemoException {
        DemoLink open = link;
        if (open == null) {
            open = DemoLink.open("tcp:127.0.0.1:" + peerPort, LINK_BYTES_PER_SECOND);
            link = open;
        }
        return open;
    }

    private static Path monitor(DemoHost host) {
        return host.directory().resolve("guest.qmp");
    }

    private static Path serial(DemoHost host) {
        return host.directory().resolve("serial.log");
    }

    // ---- the move ----

    private MoveView move(Map<String, ?> wish) throws DemoException, QmpException, DaemonUnreachableException {
        begin(wish);
        return await(MoveView::ended);
    }

    private void begin(Map<String, ?> wish) throws DemoException, QmpException, DaemonUnreachableException {
        MoveView _ = new MoveView(client().command("move-start", wish));
        say("moving it");
    }

    private GuestClient client() throws DemoException {
        GuestClient now = moving;
        if (now == null) {
            throw new DemoException("the demo is being stopped");
        }
        return now;
    }

    /** The first view that satisfies, or of the end; shows how far it is. */
    private MoveView await(Predicate<MoveView> until) throws DemoException, QmpException, DaemonUnreachableException {
        long deadline = System.nanoTime() + timeout.toNanos();
        try (ProgressLine progress = new ProgressLine(terminal)) {
            long nextShow = System.nanoTime();
            while (true) {
                MoveView view = new MoveView(client().command("move-show"));
                if (view.ended() || until.test(view)) {
                    return view;
                }
                if (deadline - System.nanoTime() <= 0) {
                    throw new DemoException("waited %d s: %s".formatted(timeout.toSeconds(), MoveText.progress(view)));
                }
                if (nextShow - System.nanoTime() <= 0) {
                    progress.show(MoveText.progress(view));
                    nextShow = System.nanoTime() + terminal.progressInterval().toNanos();
                }
                var _ = client().daemon().nextEvent(LOOK);
            }
        }
    }

    private static void refuseEnd(MoveView view) throws DemoException {
        if (view.ended()) {
            throw new DemoException("the move has ended before everything was shown: " + view.message());
        }
    }

    private void pass(Duration time) throws DemoException {
        long deadline = System.nanoTime() + time.toNanos();
        while (deadline - System.nanoTime() > 0) {
            destination.tick();
        }
    }

    // ---- what the guest says ----

    /** Waits until a QEMU's guest has printed so many rounds there; says which was the last. */
    private int awaitRounds(DemoHost host, int rounds) throws DemoException {
        SerialLog log = SerialLog.of(serial(host));
        long deadline = System.nanoTime() + ROUNDS.toNanos();
        try {
            while (log.lineCount() < rounds) {
                if (deadline - System.nanoTime() <= 0) {
                    throw new DemoException("the guest at the %s has printed %d rounds in %d s"
                            .formatted(host.role(), log.lineCount(), ROUNDS.toSeconds()));
                }
                host.tick();
            }
            return log.lastRound();
        } catch (IOException e) {
            throw new DemoException("cannot read what the guest prints", e);
        }
    }

    private DemoQemuResult result(String scenario, int before, MoveView end, List<String> more) throws DemoException {
        List<String> problems = new ArrayList<>(more);
        int after = before;
        List<String> damage = List.of();
        boolean moved = end.outcome().filter("moved"::equals).isPresent();
        if (moved) {
            after = awaitRounds(destination, ROUNDS_AFTER);
        } else {
            problems.add("outcome %s: %s".formatted(end.outcome().orElse("none"), end.message()));
        }
        try {
            damage = SerialLog.of(serial(source), serial(destination)).damage();
        } catch (IOException e) {
            problems.add("cannot read what the guest prints: " + e.getMessage());
        }
        damage.stream().limit(3).forEach(line -> problems.add("the guest's check: " + line));
        boolean sourceGone = !Files.exists(monitor(source)) || !answers(monitor(source));
        if (moved && !sourceGone) {
            problems.add("the QEMU at the source has not ended");
        }
        return new DemoQemuResult(scenario, qemu, end, before, after, damage.size(), sourceGone, List.copyOf(problems));
    }

    private static boolean answers(Path monitor) {
        try (QmpClient client = QmpClient.connect(monitor, Duration.ofSeconds(2))) {
            return !client.greeting().members().isEmpty();
        } catch (DaemonUnreachableException e) {
            return false;
        }
    }

    private void say(String text) {
        terminal.err().println("demo: " + text);
    }

    /** The QEMU at the destination outlives its daemon on purpose: the demo ends it. */
    @Override
    public void close() {
        DemoLink open = link;
        if (open != null) {
            open.close();
        }
        String ours = destination.directory().toString();
        ProcessHandle.allProcesses()
                .filter(process -> process.info()
                        .arguments()
                        .map(arguments -> Stream.of(arguments).anyMatch(argument -> argument.contains(ours)))
                        .orElse(false))
                .filter(process -> process.info().command().orElse("").contains("qemu"))
                .forEach(ProcessHandle::destroyForcibly);
    }
}
