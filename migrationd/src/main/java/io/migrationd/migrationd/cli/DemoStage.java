package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Two daemons, and a guest that runs at one and is awaited at the other. */
final class DemoStage {
    private static final String GUEST = "demo";
    private static final Duration REPORT_TIMEOUT = Duration.ofSeconds(60);
    private static final Duration LOOK_INTERVAL = Duration.ofMillis(20);

    private final Terminal terminal;
    private final DemoHost source;
    private final DemoHost destination;
    private final DemoLoad load;
    private final Duration timeout;
    private @Nullable GuestClient leaving;
    private @Nullable GuestClient arriving;

    /** @param timeoutSeconds how long each wait for the migration may take */
    DemoStage(Terminal terminal, DemoHost source, DemoHost destination, DemoLoad load, long timeoutSeconds) {
        this.terminal = terminal;
        this.source = source;
        this.destination = destination;
        this.load = load;
        this.timeout = GuestClient.timeout(timeoutSeconds);
    }

    /** Starts everything; on return the guest writes. */
    void start() throws DemoException, QmpException, DaemonUnreachableException {
        say("starting two daemons");
        source.startDaemon();
        destination.startDaemon();
        QmpClient sourceDaemon = source.connect();
        QmpClient destinationDaemon = destination.connect();
        say("starting a guest of %s that makes %d writes per second, pattern %s"
                .formatted(Sizes.format(load.ramBytes()), load.rate(), load.pattern()));
        source.startGuest(load.options(GUEST, false));
        destination.startGuest(load.options(GUEST, true));
        leaving = source.awaitGuest(sourceDaemon, GUEST);
        arriving = destination.awaitGuest(destinationDaemon, GUEST);
        awaitCheck(source, leaving(), check -> check.operations() > 0);
    }

    /** The guest at the source. */
    GuestClient leaving() {
        return Objects.requireNonNull(leaving);
    }

    /** The guest at the destination. */
    GuestClient arriving() {
        return Objects.requireNonNull(arriving);
    }

    /** Lets the destination listen, and returns where it does. */
    String listen(String listenUri) throws DemoException, QmpException, DaemonUnreachableException {
        arriving().command("migrate-incoming", Map.of("uri", listenUri));
        return arriving()
                .await(view -> !view.listeningUris().isEmpty(), REPORT_TIMEOUT, LOOK_INTERVAL, any -> {})
                .listeningUris()
                .stream()
                .findFirst()
                .orElseThrow(() -> new DemoException("the destination does not listen at " + listenUri));
    }

    /** Starts the move. */
    void migrate(String uri, Map<String, ?> limits) throws QmpException, DaemonUnreachableException {
        leaving().command("migrate-set-parameters", limits);
        leaving().command("migrate", Map.of("uri", uri));
        say("moving it to " + uri);
    }

    /** The first view of the source's that satisfies, or of the end, whichever comes first; shows how far it is. */
    MigrationView await(Predicate<MigrationView> until) throws DemoException, QmpException, DaemonUnreachableException {
        long nextShow = System.nanoTime();
        try (ProgressLine progress = new ProgressLine(terminal)) {
            long deadline = System.nanoTime() + timeout.toNanos();
            while (true) {
                MigrationView view =
                        leaving().await(until.or(MigrationView::ended), LOOK_INTERVAL, LOOK_INTERVAL, any -> {});
                if (view.ended() || until.test(view)) {
                    return view;
                }
                if (deadline - System.nanoTime() <= 0) {
                    throw new DemoException(
                            "waited %d s: %s".formatted(timeout.toSeconds(), MigrationText.progress(GUEST, view)));
                }
                if (nextShow - System.nanoTime() <= 0) {
                    progress.show(MigrationText.progress(GUEST, view));
                    nextShow = System.nanoTime() + terminal.progressInterval().toNanos();
                }
            }
        }
    }

    /** Lets time pass in which nothing may end. */
    void pass(Duration time) throws DemoException {
        long deadline = System.nanoTime() + time.toNanos();
        while (deadline - System.nanoTime() > 0) {
            source.tick();
            destination.tick();
        }
    }

    /** Kills the destination's daemon without a word and starts it again; its guest lives on. */
    void killDestinationDaemon() throws DemoException, DaemonUnreachableException {
        destination.killDaemon();
        destination.startDaemon();
        arriving = destination.awaitGuest(destination.connect(), GUEST);
    }

    /** Waits until the guest has looked at all of its pages at the destination, and sums up. */
    DemoResult verify(DemoScenario scenario, String uri, MigrationView migration)
            throws DemoException, QmpException, DaemonUnreachableException {
        // The last report at the source may be older than the move: the destination must be beyond it all the same.
        long operationsBefore = DemoCheck.of(leaving().command("guest-show")).operations();
        DemoCheck after = migration.status().equals("completed")
                ? awaitCheck(
                        destination, arriving(), check -> check.operations() > operationsBefore && check.verified())
                : DemoCheck.NONE;
        return DemoResult.of(
                scenario,
                load.ramBytes(),
                uri,
                migration,
                arriving().migration(),
                leaving().runState(),
                arriving().runState(),
                runsAgainAtSource(),
                operationsBefore,
                after);
    }

    void say(String text) {
        terminal.err().println("demo: " + text);
    }

    /** A copy that was given away must not run, whoever asks. */
    private boolean runsAgainAtSource() throws DaemonUnreachableException {
        try {
            leaving().command("cont");
            return true;
        } catch (QmpException _) {
            return false;
        }
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
}
