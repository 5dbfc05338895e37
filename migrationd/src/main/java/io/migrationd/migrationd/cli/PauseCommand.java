package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Breaks the connection of a postcopy. */
@Command(
        name = "pause",
        description = {
            "Breaks the connection of a guest's postcopy, on either side.",
            "The guest goes on at the destination until it needs a page that is missing.",
            "A pause by hand ends by hand: resume (source) or recover (destination)."
        })
final class PauseCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    PauseCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject result = new GuestClient(daemon, guest).command("migrate-pause");
            main.print(result, List.of("the postcopy of %s is paused".formatted(guest)));
            return ExitCode.DONE.code();
        }
    }
}
