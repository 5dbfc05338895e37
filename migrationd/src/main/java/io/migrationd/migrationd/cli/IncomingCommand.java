package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Lets a guest arrive. */
@Command(
        name = "incoming",
        description = {
            "Lets a guest of this host wait for a migration, and prints the address that it listens at.",
            "With port 0 the kernel chooses the port: tcp:127.0.0.1:0."
        })
final class IncomingCommand implements Callable<Integer> {
    private static final Duration LISTEN_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration LISTEN_INTERVAL = Duration.ofMillis(50);

    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest, in run state inmigrate.")
    private String guest = "";

    @Option(
            names = "--listen",
            required = true,
            paramLabel = "URI",
            description = "Where to listen: tcp:ADDRESS:PORT or unix:PATH.")
    private MigrationUri listen = MigrationUri.NONE;

    @Option(names = "--park", description = "Create the guest first, as an empty parked guest.")
    private boolean park;

    @Option(names = "--wait", description = "Wait until the guest has arrived, and say so.")
    private boolean wait;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "0",
            description =
                    "Give up waiting after this time (exit code 9, or 6 while postcopy is paused). 0 waits for ever.")
    private long timeoutSeconds;

    @Option(
            names = "--capability",
            paramLabel = "NAME[=on|off]",
            description = "Switch a capability on or off that both sides must agree on. May be given again.")
    private List<CapabilityChange> capabilities = List.of();

    @Option(names = "--postcopy", description = "The guest may run here before all of its memory is here.")
    private boolean postcopy;

    @Option(
            names = "--preempt",
            description = "With --postcopy: pages that it waits for come on a connection of their own (both sides).")
    private boolean preempt;

    @Spec
    private @Nullable CommandSpec spec;

    IncomingCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        if (preempt && !postcopy) {
            throw new ParameterException(Objects.requireNonNull(spec).commandLine(), "--preempt needs --postcopy");
        }
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            if (park) {
                client.command("guest-park");
            }
            MigrationView view = startOrUndo(client);
            if (view.ended()) {
                return report(client, view);
            }
            printListening(view.listeningUris());
            return wait ? awaitArrival(client) : ExitCode.DONE.code();
        }
    }

    /** A guest that this command created does not outlive its failure. */
    private MigrationView startOrUndo(GuestClient client) throws QmpException, DaemonUnreachableException {
        try {
            return start(client);
        } catch (QmpException refused) {
            if (park) {
                try {
                    client.command("guest-remove");
                } catch (QmpException e) {
                    refused.addSuppressed(e);
                }
            }
            throw refused;
        }
    }

    private MigrationView start(GuestClient client) throws QmpException, DaemonUnreachableException {
        List<CapabilityChange> changes = new ArrayList<>();
        if (postcopy) {
            changes.add(new CapabilityChange("postcopy-ram", true));
            changes.add(new CapabilityChange("postcopy-preempt", preempt));
        }
        changes.addAll(capabilities);
        if (!changes.isEmpty()) {
            CapabilityChange.apply(client, changes);
        }
        client.command("migrate-incoming", Map.of("uri", listen.text()));
        MigrationView view = client.await(
                now -> now.ended() || !now.listeningUris().isEmpty(), LISTEN_TIMEOUT, LISTEN_INTERVAL, any -> {});
        if (view.ended() || !view.listeningUris().isEmpty()) {
            return view;
        }
        throw new QmpException(
                "migrate-incoming",
                "GenericError",
                "The daemon took the command but does not listen after %d s (status %s)"
                        .formatted(LISTEN_TIMEOUT.toSeconds(), view.status()));
    }

    private void printListening(List<String> uris) {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("listening", uris.getFirst());
        main.print(document, List.of("listening " + uris.getFirst()));
        main.terminal().out().flush();
    }

    private int awaitArrival(GuestClient client) throws QmpException, DaemonUnreachableException {
        MigrationWait arrival = new MigrationWait(main, guest, "may still arrive");
        return report(client, arrival.await(client, GuestClient.timeout(timeoutSeconds)));
    }

    private int report(GuestClient client, MigrationView view) throws QmpException, DaemonUnreachableException {
        String runState = client.runState();
        return OutcomeReport.print(main, guest, Outcome.ofIncoming(guest, view, runState), view, runState);
    }
}
