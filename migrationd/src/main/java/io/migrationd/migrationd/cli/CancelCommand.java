package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Ends a migration early. */
@Command(
        name = "cancel",
        description = {
            "Cancels the migration of a guest, which stays at the source.",
            "With --wait, 0 means cancelled; 5 means that it was too late and the guest is at the destination."
        })
final class CancelCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(names = "--wait", description = "Wait until the migration has ended.")
    private boolean wait;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "0",
            description = "Give up waiting after this time (exit code 9). 0 waits for ever.")
    private long timeoutSeconds;

    CancelCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            if (!client.migration().underWay()) {
                return print("nothing-to-cancel", "no migration of %s is under way".formatted(guest));
            }
            client.command("migrate_cancel");
            if (!wait) {
                return print("cancelling", "the migration of %s is being cancelled".formatted(guest));
            }
            MigrationView last = new MigrationWait(main, guest, "is being cancelled")
                    .await(client, GuestClient.timeout(timeoutSeconds));
            String runState = client.runState();
            return OutcomeReport.print(main, guest, outcome(last, runState), last, runState);
        }
    }

    private int print(String outcome, String sentence) {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("outcome", outcome);
        main.print(document, List.of(sentence));
        return ExitCode.DONE.code();
    }

    /** Who cancels has what he wanted when it is cancelled, and not when the guest arrived. */
    private Outcome outcome(MigrationView last, String runState) {
        Outcome outcome = Outcome.ofOutgoing(guest, last, runState, "its destination");
        return switch (outcome.code()) {
            case CANCELLED -> new Outcome(ExitCode.DONE, outcome.where(), outcome.sentence());
            case DONE ->
                new Outcome(
                        ExitCode.AT_DESTINATION_WITH_WARNING,
                        outcome.where(),
                        "too late to cancel: %s is at the destination".formatted(guest));
            default -> outcome;
        };
    }
}
