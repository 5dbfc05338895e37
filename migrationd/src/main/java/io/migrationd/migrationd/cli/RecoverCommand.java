package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Gives the destination of a paused postcopy a new address. */
@Command(
        name = "recover",
        description = {
            "Lets the destination of a paused postcopy listen at another address, and prints it.",
            "The source then goes on with: migrationctl resume NAME --to URI.",
            "Not needed where the old address still works."
        })
final class RecoverCommand implements Callable<Integer> {
    private static final Duration LISTEN_TIMEOUT = Duration.ofSeconds(10);
    private static final Duration LISTEN_INTERVAL = Duration.ofMillis(50);

    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(
            names = "--listen",
            required = true,
            paramLabel = "URI",
            description = "Where to listen: tcp:ADDRESS:PORT or unix:PATH.")
    private MigrationUri listen = MigrationUri.NONE;

    RecoverCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            client.command("migrate-recover", Map.of("uri", listen.text()));
            String uri = client
                    .await(view -> !view.listeningUris().isEmpty(), LISTEN_TIMEOUT, LISTEN_INTERVAL, any -> {})
                    .listeningUris()
                    .stream()
                    .findFirst()
                    .orElse(listen.text());
            Map<String, Object> document = new LinkedHashMap<>();
            document.put("guest", guest);
            document.put("listening", uri);
            main.print(document, List.of("listening " + uri));
            return ExitCode.DONE.code();
        }
    }
}
