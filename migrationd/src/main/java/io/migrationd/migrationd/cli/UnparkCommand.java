package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
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

/** Gives a parked guest to who can run it. */
@Command(
        name = "unpark",
        description = {
            "Sends a parked guest to a QEMU or a migrationd that waits for it, and waits for the end.",
            "With --postcopy it starts there at once, and its memory follows as it is needed."
        })
final class UnparkCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The parked guest.")
    private String guest = "";

    @Option(
            names = "--to",
            required = true,
            paramLabel = "URI",
            description = "Where the destination listens: tcp:HOST:PORT or unix:PATH.")
    private MigrationUri destination = MigrationUri.NONE;

    @Option(names = "--postcopy", description = "Start it there before its memory is there (postcopy-ram, both sides).")
    private boolean postcopy;

    @Option(
            names = "--preempt",
            description = "With --postcopy: pages that it waits for go over a connection of their own (both sides).")
    private boolean preempt;

    @Option(
            names = "--max-bandwidth",
            paramLabel = "BYTES",
            converter = SizeConverter.class,
            defaultValue = "0",
            description = "Bytes per second at most of what nobody waits for, for example 100M. Default: 0, unlimited.")
    private long maxBandwidth;

    @Mixin
    private EndOptions end = new EndOptions();

    @Spec
    private @Nullable CommandSpec spec;

    UnparkCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        if (preempt && !postcopy) {
            throw new ParameterException(Objects.requireNonNull(spec).commandLine(), "--preempt needs --postcopy");
        }
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            CapabilityChange.apply(
                    client,
                    List.of(
                            new CapabilityChange("return-path", true),
                            new CapabilityChange("pause-before-switchover", false),
                            new CapabilityChange("postcopy-ram", postcopy),
                            new CapabilityChange("postcopy-preempt", preempt)));
            client.command("migrate-set-parameters", parameters());
            client.command("migrate", Map.of("uri", destination.text()));
            if (postcopy) {
                startPostcopy(client);
            }
            return end.finish(main, client, destination.text());
        }
    }

    private Map<String, Object> parameters() {
        Map<String, Object> parameters = new LinkedHashMap<>();
        parameters.put("max-bandwidth", maxBandwidth);
        parameters.put("max-postcopy-bandwidth", maxBandwidth);
        parameters.put("postcopy-policy", PostcopyStart.MANUAL.toString());
        return parameters;
    }

    /** A migration that is over already says more than the refusal to hurry it. */
    private static void startPostcopy(GuestClient client) throws QmpException, DaemonUnreachableException {
        try {
            client.command("migrate-start-postcopy");
        } catch (QmpException e) {
            if (!client.migration().ended()) {
                throw e;
            }
        }
    }
}
