package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Moves a QEMU guest to another host. */
@Command(
        name = "move",
        description = {
            "Moves a running QEMU guest, by its definition in guests.d, to another host with a migrationd.",
            "Checks first, starts the QEMU there, carries the streams, and ends when the guest runs there or runs on here.",
            "A cut of the network or a killed daemon does not end it. Ctrl-C ends only the waiting."
        })
final class MoveCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Mixin
    private MoveOptions options = new MoveOptions();

    @Option(names = "--dry-run", description = "Only check, as migrationctl check does.")
    private boolean dryRun;

    @Option(
            names = "--wait",
            negatable = true,
            defaultValue = "true",
            fallbackValue = "true",
            description = "Wait for the end. This is the default; --no-wait returns when the move has started.")
    private boolean wait = true;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "0",
            description = {
                "Give up waiting after this time (exit code 9, or 6 while it recovers); the move goes on.",
                "0 waits for ever."
            })
    private long timeoutSeconds;

    MoveCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            if (dryRun) {
                return CheckCommand.check(main, client, options);
            }
            MoveView started = new MoveView(client.command("move-start", options.arguments()));
            if (!wait) {
                main.print(started.json(), List.of("%s has started to move to %s".formatted(guest, options.to())));
                return ExitCode.DONE.code();
            }
            MoveView last = new MoveWait(main, client).await(GuestClient.timeout(timeoutSeconds));
            return report(last);
        }
    }

    private int report(MoveView last) {
        ExitCode code = last.exitCode();
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("outcome", code.jsonName());
        document.put("exit-code", code.code());
        document.put("where", last.where());
        document.put("message", last.message());
        document.put("move", last.json());
        main.print(document, MoveText.summary(last));
        return code.code();
    }
}
