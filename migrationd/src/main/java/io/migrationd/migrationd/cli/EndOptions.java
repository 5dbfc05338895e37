package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.Option;

/** Whether and how long a command waits for the end of the migration that it has set going. */
final class EndOptions {
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
            description = {
                "Give up waiting after this time (exit code 9, or 6 while postcopy is paused); the migration goes on.",
                "0 waits for ever."
            })
    private long timeoutSeconds;

    /** Waits if that is wanted, says where the guest is and returns the exit code. */
    int finish(MigrationctlMain main, GuestClient client, String destination)
            throws QmpException, DaemonUnreachableException {
        return wait ? awaitEnd(main, client, destination) : started(main, client.guest(), destination);
    }

    private static int started(MigrationctlMain main, String guest, String destination) {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("outcome", "started");
        document.put("uri", destination);
        main.print(document, List.of("%s has started to move to %s".formatted(guest, destination)));
        return ExitCode.DONE.code();
    }

    private int awaitEnd(MigrationctlMain main, GuestClient client, String destination)
            throws QmpException, DaemonUnreachableException {
        MigrationView last =
                new MigrationWait(main, client.guest(), "goes on").await(client, GuestClient.timeout(timeoutSeconds));
        String runState = client.runState();
        Outcome outcome = Outcome.ofOutgoing(client.guest(), last, runState, destination);
        return OutcomeReport.print(main, client.guest(), outcome, last, runState);
    }
}
