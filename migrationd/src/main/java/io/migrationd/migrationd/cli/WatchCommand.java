package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Shows what happens while it happens. */
@Command(
        name = "watch",
        description = {
            "Shows events of all guests or of one, and how far their migrations are, until interrupted.",
            "With --json each line is an event as the daemon sent it, or {\"guest\", \"migration\"}."
        })
final class WatchCommand implements Callable<Integer> {
    private final MigrationctlMain main;
    private final Set<String> moving = new TreeSet<>();

    @Parameters(arity = "0..1", paramLabel = "NAME", description = "The guest.")
    private @Nullable String only;

    @Option(
            names = "--until",
            paramLabel = "STATUS",
            description = "End when a migration has this status, for example completed, or has ended in another way.")
    private @Nullable String until;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "0",
            description = "Give up after this time (exit code 9). 0 watches for ever.")
    private long timeoutSeconds;

    WatchCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        long deadline = System.nanoTime() + GuestClient.timeout(timeoutSeconds).toNanos();
        try (QmpClient daemon = main.connect();
                ProgressLine progress = new ProgressLine(main.terminal())) {
            moving.addAll(watched(daemon));
            while (true) {
                Optional<ExitCode> end = look(daemon, progress);
                if (end.isPresent()) {
                    return end.get().code();
                }
                if (!awaitTick(daemon, progress, deadline)) {
                    return ExitCode.TIMED_OUT.code();
                }
            }
        }
    }

    /** A guest that is asked for is looked at once even if it does not move: its migration may be over already. */
    private Set<String> watched(QmpClient daemon) throws QmpException, DaemonUnreachableException {
        if (only != null) {
            return Set.of(only);
        }
        return daemon.queryList("guest-list", Map.of()).stream()
                .filter(guest -> guest.text("migration-status").isPresent())
                .flatMap(guest -> guest.text("name").stream())
                .collect(Collectors.toSet());
    }

    private Optional<ExitCode> look(QmpClient daemon, ProgressLine progress)
            throws QmpException, DaemonUnreachableException {
        Optional<ExitCode> end = Optional.empty();
        for (String guest : List.copyOf(moving)) {
            GuestClient client = new GuestClient(daemon, guest);
            MigrationView view = client.migration();
            if (view.underWay()) {
                showProgress(guest, view, progress);
            } else {
                moving.remove(guest);
            }
            if (until != null && view.status().equals(until)) {
                end = Optional.of(ExitCode.DONE);
            } else if (until != null && view.ended() && end.isEmpty()) {
                end = Optional.of(Outcome.ofOutgoing(guest, view, client.runState(), "its destination")
                        .code());
            }
        }
        return end;
    }

    /** Shows events until it is time to look again; false when it is time to give up. */
    private boolean awaitTick(QmpClient daemon, ProgressLine progress, long deadline)
            throws DaemonUnreachableException {
        long tick = System.nanoTime() + main.terminal().progressInterval().toNanos();
        while (tick - System.nanoTime() > 0) {
            long left = deadline - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            Optional<QmpEvent> event = daemon.nextEvent(Duration.ofNanos(Math.min(left, tick - System.nanoTime())));
            if (event.filter(this::wanted).isPresent()) {
                showEvent(event.get(), progress);
                if (event.get().name().equals("MIGRATION")) {
                    event.get().guest().ifPresent(moving::add);
                    return true;
                }
            }
        }
        return true;
    }

    private boolean wanted(QmpEvent event) {
        return only == null || event.guest().filter(only::equals).isPresent();
    }

    private void showEvent(QmpEvent event, ProgressLine progress) {
        progress.close();
        Map<String, @Nullable Object> data = new LinkedHashMap<>(event.data().members());
        data.remove("guest");
        String line = "%s %s %s %s"
                .formatted(
                        event.at().map(Instant::toString).orElse("-"),
                        event.guest().orElse("-"),
                        event.name(),
                        GuestText.pairs(new JsonObject(data)));
        main.print(event.message(), List.of(line.strip()));
        main.terminal().out().flush();
    }

    private void showProgress(String guest, MigrationView view, ProgressLine progress) {
        if (main.json()) {
            Map<String, Object> document = new LinkedHashMap<>();
            document.put("guest", guest);
            document.put("migration", view.json());
            main.print(document, List.of());
        } else {
            progress.show(MigrationText.progress(guest, view));
        }
    }
}
