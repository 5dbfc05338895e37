package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Lets the source of a paused postcopy go on. */
@Command(
        name = "resume",
        description = {
            "Lets a paused postcopy go on over a new connection from here, the source, and waits for its end.",
            "If the attempt fails the migration is paused again and nothing is lost.",
            "Not needed where recovery is automatic and the destination has its old address."
        })
final class ResumeCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Option(
            names = "--to",
            required = true,
            paramLabel = "URI",
            description = "Where the destination listens: tcp:HOST:PORT or unix:PATH.")
    private MigrationUri destination = MigrationUri.NONE;

    @Mixin
    private EndOptions end = new EndOptions();

    ResumeCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            Map<String, Object> arguments = new LinkedHashMap<>();
            arguments.put("uri", destination.text());
            arguments.put("resume", true);
            client.command("migrate", arguments);
            return end.finish(main, client, destination.text());
        }
    }
}
