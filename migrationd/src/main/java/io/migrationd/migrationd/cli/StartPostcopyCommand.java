package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Ends precopy. */
@Command(
        name = "start-postcopy",
        description = {
            "Lets a guest run at the destination before all of its memory is there, from the next chance on.",
            "The migration must have been started with --postcopy manual, after-first-pass or auto."
        })
final class StartPostcopyCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    StartPostcopyCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject result = new GuestClient(daemon, guest).command("migrate-start-postcopy");
            main.print(result, List.of("%s goes over to postcopy".formatted(guest)));
            return ExitCode.DONE.code();
        }
    }
}
