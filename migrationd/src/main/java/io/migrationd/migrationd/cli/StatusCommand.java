package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** One look at the daemon or at a guest. */
@Command(
        name = "status",
        description = "Shows the daemon and its guests, or the migration of one guest and its limits.")
final class StatusCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(arity = "0..1", paramLabel = "NAME", description = "The guest.")
    private @Nullable String guest;

    StatusCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            if (guest == null) {
                showDaemon(daemon);
            } else {
                showGuest(new GuestClient(daemon, guest));
            }
            return ExitCode.DONE.code();
        }
    }

    private void showDaemon(QmpClient daemon) throws QmpException, DaemonUnreachableException {
        JsonObject status = daemon.query("daemon-status", Map.of());
        List<JsonObject> guests = daemon.queryList("guest-list", Map.of());
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("daemon", status);
        document.put("guests", guests);
        List<String> lines = new ArrayList<>();
        lines.add("migrationd");
        lines.addAll(GuestText.facts(status.members()));
        lines.addAll(GuestText.table(guests));
        main.print(document, lines);
    }

    private void showGuest(GuestClient client) throws QmpException, DaemonUnreachableException {
        String runState = client.runState();
        MigrationView migration = client.migration();
        JsonObject parameters = client.command("query-migrate-parameters");
        List<JsonObject> capabilities =
                client.daemon().queryList("query-migrate-capabilities", Map.of("guest", client.guest()));
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", client.guest());
        document.put("run-state", runState);
        document.put("migration", migration.json());
        document.put("capabilities", capabilities);
        document.put("parameters", parameters);
        List<String> lines = new ArrayList<>();
        lines.add("%s %s".formatted(client.guest(), runState));
        lines.add(GuestText.fact("migration", migration.status()));
        lines.addAll(details(client.guest(), migration));
        lines.add(GuestText.fact("capabilities", switchedOn(capabilities)));
        lines.add(GuestText.fact("parameters", GuestText.pairs(parameters)));
        main.print(document, lines);
    }

    private static List<String> details(String guest, MigrationView migration) {
        List<String> lines = new ArrayList<>();
        migration.listeningUris().forEach(uri -> lines.add(GuestText.fact("listening", uri)));
        migration.error().ifPresent(reason -> lines.add(GuestText.fact("error", reason)));
        if (migration.ended()) {
            lines.addAll(MigrationText.summary(migration));
        } else if (migration.underWay()) {
            lines.add(GuestText.fact("progress", MigrationText.progress(guest, migration)));
            lines.addAll(MigrationText.postcopy(migration));
        }
        return lines;
    }

    private static String switchedOn(List<JsonObject> capabilities) {
        String names = capabilities.stream()
                .filter(capability -> Boolean.TRUE.equals(capability.members().get("state")))
                .map(capability -> capability.text("capability").orElse(""))
                .collect(Collectors.joining(" "));
        return names.isEmpty() ? "none" : names;
    }
}
