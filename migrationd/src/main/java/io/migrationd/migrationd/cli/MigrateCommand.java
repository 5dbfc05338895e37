package io.migrationd.migrationd.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Sends a guest to another host. */
@Command(
        name = "migrate",
        description = {
            "Sends a running guest to another host, where its migrationd must be waiting (migrationctl incoming).",
            "Ends when the migration has ended and says where the guest runs. Ctrl-C ends only the waiting."
        })
final class MigrateCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(
            names = "--to",
            required = true,
            paramLabel = "URI",
            description = "Where the destination listens: tcp:HOST:PORT or unix:PATH.")
    private MigrationUri destination = MigrationUri.NONE;

    @Option(
            names = "--wait",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = "Wait for the end. This is the default; --no-wait returns when the migration has started.")
    private boolean wait = true;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "0",
            description = "Give up waiting after this time (exit code 9); the migration goes on. 0 waits for ever.")
    private long timeoutSeconds;

    @Option(
            names = "--return-path",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = {
                "Let the destination answer; on by default. Only with an answer does the source know that the guest has",
                "arrived before it gives up its own copy. --no-return-path is for destinations that cannot answer."
            })
    private boolean returnPath = true;

    @Option(
            names = "--capability",
            paramLabel = "NAME[=on|off]",
            description = "Switch a capability on or off, for example xbzrle. May be given again.")
    private List<CapabilityChange> capabilities = List.of();

    @Option(
            names = "--downtime-limit",
            paramLabel = "MS",
            description = "How long the guest may stand still, in milliseconds.")
    private @Nullable Long downtimeLimitMillis;

    @Option(
            names = "--max-bandwidth",
            paramLabel = "BYTES",
            converter = SizeConverter.class,
            description = "Bytes per second at most, for example 100M. 0 is unlimited.")
    private @Nullable Long maxBandwidth;

    @Option(
            names = "--pause-before-switchover",
            description = "Stop the guest before the last pass and wait for: migrationctl continue NAME.")
    private boolean pauseBeforeSwitchover;

    MigrateCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            CapabilityChange.apply(client, capabilityChanges());
            if (!parameters().isEmpty()) {
                client.command("migrate-set-parameters", parameters());
            }
            client.command("migrate", Map.of("uri", destination.text()));
            return wait ? awaitEnd(client) : started();
        }
    }

    private int started() {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("outcome", "started");
        document.put("uri", destination.text());
        main.print(document, List.of("%s has started to move to %s".formatted(guest, destination.text())));
        return ExitCode.DONE.code();
    }

    private int awaitEnd(GuestClient client) throws QmpException, DaemonUnreachableException {
        MigrationView last =
                new MigrationWait(main, guest, "goes on").await(client, GuestClient.timeout(timeoutSeconds));
        String runState = client.runState();
        Outcome outcome = Outcome.ofOutgoing(guest, last, runState, destination.text());
        return OutcomeReport.print(main, guest, outcome, last, runState);
    }

    /** Both switches that have an option are always set: a guest remembers what the migration before was given. */
    private List<CapabilityChange> capabilityChanges() {
        List<CapabilityChange> changes = new ArrayList<>();
        changes.add(new CapabilityChange("return-path", returnPath));
        changes.add(new CapabilityChange("pause-before-switchover", pauseBeforeSwitchover));
        changes.addAll(capabilities);
        return changes;
    }

    private Map<String, Object> parameters() {
        Map<String, Object> parameters = new LinkedHashMap<>();
        if (downtimeLimitMillis != null) {
            parameters.put("downtime-limit", downtimeLimitMillis);
        }
        if (maxBandwidth != null) {
            parameters.put("max-bandwidth", maxBandwidth);
        }
        return parameters;
    }
}
