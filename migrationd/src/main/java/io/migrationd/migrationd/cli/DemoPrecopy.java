package io.migrationd.migrationd.cli;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;

/** A running guest moves from one daemon to another while it writes to its memory. */
final class DemoPrecopy {
    private static final String GUEST = "demo";
    private static final Duration REPORT_TIMEOUT = Duration.ofSeconds(60);

    private final Terminal terminal;
    private final DemoHost source;
    private final DemoHost destination;
    private final Load load;

    /** What the guest does: writes per second to pages chosen by a pattern. */
    record Load(long ramBytes, long rate, String pattern) {
        List<String> options() {
            return List.of(
                    "--name",
                    GUEST,
                    "--ram",
                    Long.toString(ramBytes),
                    "--rate",
                    Long.toString(rate),
                    "--pattern",
                    pattern);
        }
    }

    DemoPrecopy(Terminal terminal, DemoHost source, DemoHost destination, Load load) {
        this.terminal = terminal;
        this.source = source;
        this.destination = destination;
        this.load = load;
    }

    DemoResult run(String listenUri, long downtimeLimitMillis, long timeoutSeconds)
            throws DemoException, QmpException, DaemonUnreachableException {
        say("starting two daemons");
        source.startDaemon();
        destination.startDaemon();
        QmpClient sourceDaemon = source.connect();
        QmpClient destinationDaemon = destination.connect();
        say("starting a guest of %s that makes %d writes per second, pattern %s"
                .formatted(Sizes.format(load.ramBytes()), load.rate(), load.pattern()));
        source.startGuest(load.options());
        destination.startGuest(incoming(load.options()));
        GuestClient leaving = source.awaitGuest(sourceDaemon, GUEST);
        GuestClient arriving = destination.awaitGuest(destinationDaemon, GUEST);
        awaitCheck(source, leaving, check -> check.operations() > 0);

        String uri = listen(arriving, listenUri);
        say("moving it to " + uri);
        MigrationView migration = move(leaving, uri, downtimeLimitMillis, timeoutSeconds);
        long operationsBefore = operationsAtSource(leaving);
        DemoCheck after = migration.status().equals("completed")
                ? awaitCheck(destination, arriving, check -> check.operations() > operationsBefore && check.verified())
                : DemoCheck.NONE;
        return DemoResult.of(
                load.ramBytes(), uri, migration, leaving.runState(), arriving.runState(), operationsBefore, after);
    }

    private static List<String> incoming(List<String> options) {
        List<String> all = new ArrayList<>(options);
        all.add("--incoming");
        return all;
    }

    private static String listen(GuestClient arriving, String listenUri)
            throws DemoException, QmpException, DaemonUnreachableException {
        arriving.command("migrate-incoming", Map.of("uri", listenUri));
        List<String> uris = arriving.await(
                        view -> !view.listeningUris().isEmpty(), REPORT_TIMEOUT, Duration.ofMillis(50), any -> {})
                .listeningUris();
        if (uris.isEmpty()) {
            throw new DemoException("the destination does not listen at " + listenUri);
        }
        return uris.getFirst();
    }

    private MigrationView move(GuestClient leaving, String uri, long downtimeLimitMillis, long timeoutSeconds)
            throws QmpException, DaemonUnreachableException {
        CapabilityChange.apply(leaving, List.of(new CapabilityChange("return-path", true)));
        Map<String, Object> limits = new LinkedHashMap<>();
        limits.put("max-bandwidth", 0L);
        limits.put("downtime-limit", downtimeLimitMillis);
        leaving.command("migrate-set-parameters", limits);
        leaving.command("migrate", Map.of("uri", uri));
        try (ProgressLine progress = new ProgressLine(terminal)) {
            return leaving.await(
                    MigrationView::ended,
                    GuestClient.timeout(timeoutSeconds),
                    terminal.progressInterval(),
                    view -> show(progress, view));
        }
    }

    private static void show(ProgressLine progress, MigrationView view) {
        if (!view.ended()) {
            progress.show(MigrationText.progress(GUEST, view));
        }
    }

    /** The last report at the source may be older than the move: the destination must be beyond it all the same. */
    private static long operationsAtSource(GuestClient leaving) throws QmpException, DaemonUnreachableException {
        return DemoCheck.of(leaving.command("guest-show")).operations();
    }

    /** The first report that satisfies, or the last one in time: what is missing in it is for the verdict to say. */
    private static DemoCheck awaitCheck(DemoHost host, GuestClient guest, Predicate<DemoCheck> until)
            throws DemoException, QmpException, DaemonUnreachableException {
        long deadline = System.nanoTime() + REPORT_TIMEOUT.toNanos();
        while (true) {
            DemoCheck check = DemoCheck.of(guest.command("guest-show"));
            if (until.test(check) || deadline - System.nanoTime() <= 0) {
                return check;
            }
            host.tick();
        }
    }

    private void say(String text) {
        terminal.err().println("demo: " + text);
    }
}
