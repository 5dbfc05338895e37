package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Looks at moves of QEMU guests and changes their course. */
@Command(
        name = "moves",
        description = "Shows moves of QEMU guests and changes their course.",
        synopsisSubcommandLabel = "COMMAND")
final class MovesCommand {
    private final MigrationctlMain main;

    MovesCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Command(name = "list", description = "Lists the moves under way and those that ended lately, a line each.")
    int list() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            List<JsonObject> moves = daemon.queryList("move-list", Map.of());
            main.print(moves, MoveText.table(moves));
            return ExitCode.DONE.code();
        }
    }

    @Command(name = "show", description = "Shows the move of a guest that is under way or was last.")
    int show(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            MoveView move = new MoveView(new GuestClient(daemon, name).command("move-show"));
            main.print(move.json(), move.ended() ? MoveText.summary(move) : List.of(MoveText.progress(move)));
            return ExitCode.DONE.code();
        }
    }

    @Command(
            name = "cancel",
            description = "Ends a move with the guest at the source. Refused once the guest may be the destination's.")
    int cancel(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject done = new GuestClient(daemon, name).command("move-cancel");
            main.print(done, List.of("the move of %s is being cancelled".formatted(name)));
            return ExitCode.DONE.code();
        }
    }

    @Command(
            name = "reclaim",
            description = {
                "Gives a guest back to this host although the record says that it was given away.",
                "--force: also if the destination may have run it. Be sure that no other copy runs."
            })
    int reclaim(
            @Parameters(paramLabel = "NAME") String name,
            @Option(names = "--force", description = "Also if the destination may have run it.") boolean force)
            throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject done = new GuestClient(daemon, name).command("move-reclaim", Map.of("force", force));
            main.print(done, List.of("%s taken back".formatted(name)));
            return ExitCode.DONE.code();
        }
    }
}
