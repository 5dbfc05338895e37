package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

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

    @Mixin
    private EndOptions end = new EndOptions();

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

    @Option(
            names = "--postcopy",
            paramLabel = "never|manual|after-first-pass|auto",
            defaultValue = "never",
            description = {
                "Let the guest run at the destination, which needs --postcopy too, before all of its memory is there.",
                "manual: at migrationctl start-postcopy NAME.",
                "after-first-pass: when each page was sent once.",
                "auto: when it writes faster than the link carries, or the budget is over.",
                "Default: never."
            })
    private PostcopyStart postcopy = PostcopyStart.NEVER;

    @Option(
            names = "--preempt",
            description =
                    "With --postcopy: pages that the guest waits for go over a connection of their own (both sides).")
    private boolean preempt;

    @Option(
            names = "--postcopy-budget",
            paramLabel = "MS",
            description = "With --postcopy auto: how long precopy is tried, in milliseconds.")
    private @Nullable Long postcopyBudgetMillis;

    @Option(
            names = "--max-postcopy-bandwidth",
            paramLabel = "BYTES",
            converter = SizeConverter.class,
            description = "Bytes per second at most of pages that nobody waits for, in postcopy. 0 is unlimited.")
    private @Nullable Long maxPostcopyBandwidth;

    @Spec
    private @Nullable CommandSpec spec;

    MigrateCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        if (preempt && postcopy == PostcopyStart.NEVER) {
            throw new ParameterException(Objects.requireNonNull(spec).commandLine(), "--preempt needs --postcopy");
        }
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            CapabilityChange.apply(client, capabilityChanges());
            if (!parameters().isEmpty()) {
                client.command("migrate-set-parameters", parameters());
            }
            client.command("migrate", Map.of("uri", destination.text()));
            return end.finish(main, client, destination.text());
        }
    }

    /** The switches that have an option are always set: a guest remembers what the migration before was given. */
    private List<CapabilityChange> capabilityChanges() {
        List<CapabilityChange> changes = new ArrayList<>();
        changes.add(new CapabilityChange("return-path", returnPath));
        changes.add(new CapabilityChange("pause-before-switchover", pauseBeforeSwitchover));
        changes.add(new CapabilityChange("postcopy-ram", postcopy != PostcopyStart.NEVER));
        changes.add(new CapabilityChange("postcopy-preempt", preempt));
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
        if (maxPostcopyBandwidth != null) {
            parameters.put("max-postcopy-bandwidth", maxPostcopyBandwidth);
        }
        if (postcopy != PostcopyStart.NEVER) {
            parameters.put("postcopy-policy", postcopy.toString());
        }
        if (postcopyBudgetMillis != null) {
            parameters.put("postcopy-budget", postcopyBudgetMillis);
        }
        return parameters;
    }
}
