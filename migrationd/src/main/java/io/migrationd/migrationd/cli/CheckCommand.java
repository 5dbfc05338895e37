package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** Looks for everything that speaks against a move. */
@Command(
        name = "check",
        description = {
            "Says everything at once that speaks against moving a QEMU guest to another host. Starts nothing.",
            "Exit code 0: the move is possible (warnings are shown); 3: it is not."
        })
final class CheckCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Mixin
    private MoveOptions options = new MoveOptions();

    CheckCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            return check(main, new GuestClient(daemon, guest), options);
        }
    }

    static int check(MigrationctlMain main, GuestClient client, MoveOptions options)
            throws QmpException, DaemonUnreachableException {
        JsonObject answer = client.command("move-check", options.arguments());
        boolean possible = Boolean.TRUE.equals(answer.members().get("possible"));
        List<JsonObject> problems = answer.objects("problems");
        List<String> lines = new ArrayList<>();
        lines.add(
                possible
                        ? "%s can move to %s%s"
                                .formatted(client.guest(), options.to(), problems.isEmpty() ? "" : ", with warnings:")
                        : "%s can't move to %s:".formatted(client.guest(), options.to()));
        lines.addAll(MoveText.problems(problems));
        main.print(answer, lines);
        return (possible ? ExitCode.DONE : ExitCode.REFUSED).code();
    }
}
