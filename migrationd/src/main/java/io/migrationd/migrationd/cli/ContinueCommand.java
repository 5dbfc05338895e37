package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Opens the gate before the switchover. */
@Command(
        name = "continue",
        description = "Lets a migration go on that waits before its switchover (migrate --pause-before-switchover).")
final class ContinueCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(
            names = "--state",
            paramLabel = "STATUS",
            defaultValue = "pre-switchover",
            description = "The status that the migration must be in. Default: pre-switchover.")
    private String state = "pre-switchover";

    ContinueCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject result = new GuestClient(daemon, guest).command("migrate-continue", Map.of("state", state));
            main.print(result, List.of("%s continues its migration".formatted(guest)));
            return ExitCode.DONE.code();
        }
    }
}
