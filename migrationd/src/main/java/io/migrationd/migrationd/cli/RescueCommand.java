package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Saves a guest from a paused postcopy by means that QEMU itself does not have. */
@Command(
        name = "rescue",
        description = {
            "Saves a guest whose postcopy is paused, where QEMU itself knows no way (docs/rescue.md):",
            "  drain    takes every page of the paused source into a parked copy; the source may then be shut down",
            "  serve    lets the paused destination run on from that copy",
            "  replace  starts the guest anew from that copy, when its destination died before it ran"
        })
final class RescueCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(names = "--by", required = true, paramLabel = "drain|serve|replace", description = "The means.")
    private String kind = "";

    RescueCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject done = new GuestClient(daemon, guest).command("move-rescue", Map.of("kind", kind));
            main.print(
                    done, List.of("%s: %s has begun; see: migrationctl moves show %s".formatted(guest, kind, guest)));
            return ExitCode.DONE.code();
        }
    }
}
