package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** Changes limits, also of a migration that is under way. */
@Command(
        name = "set",
        description = {
            "Changes limits of a guest's migrations, also of one that is under way, and capabilities of the next one.",
            "Example: migrationctl set web01 max-bandwidth=100M downtime-limit=500 cap:xbzrle=on"
        })
final class SetCommand implements Callable<Integer> {
    private static final String CAPABILITY = "cap:";

    private final MigrationctlMain main;

    @Parameters(index = "0", paramLabel = "NAME", description = "The guest.")
    private String guest = "";

    @Parameters(
            index = "1..*",
            arity = "1..*",
            paramLabel = "KEY=VALUE",
            description = {
                "A parameter of migrate-set-parameters; bytes may have a suffix K, M, G or T, times are milliseconds.",
                "Or a capability: cap:NAME=on|off."
            })
    private List<String> settings = List.of();

    @Spec
    private @Nullable CommandSpec spec;

    SetCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        List<CapabilityChange> capabilities = new ArrayList<>();
        Map<String, Object> parameters = new LinkedHashMap<>();
        for (String setting : settings) {
            sort(setting, capabilities, parameters);
        }
        try (QmpClient daemon = main.connect()) {
            GuestClient client = new GuestClient(daemon, guest);
            if (!capabilities.isEmpty()) { // First, because a running migration refuses them.
                CapabilityChange.apply(client, capabilities);
            }
            if (!parameters.isEmpty()) {
                client.command("migrate-set-parameters", parameters);
            }
            JsonObject now = client.command("query-migrate-parameters");
            main.print(now, GuestText.facts(now.members()));
            return ExitCode.DONE.code();
        }
    }

    private void sort(String setting, List<CapabilityChange> capabilities, Map<String, Object> parameters) {
        int equals = setting.indexOf('=');
        if (equals < 1) {
            throw usage("expected KEY=VALUE, not '%s'".formatted(setting));
        }
        try {
            if (setting.startsWith(CAPABILITY)) {
                capabilities.add(CapabilityChange.parse(setting.substring(CAPABILITY.length())));
            } else {
                parameters.put(setting.substring(0, equals), value(setting.substring(equals + 1)));
            }
        } catch (TypeConversionException | IllegalArgumentException e) {
            throw usage("%s: %s".formatted(setting.substring(0, equals), e.getMessage()));
        }
    }

    /** The daemon knows which type each parameter has; here only what a value looks like counts. */
    private static Object value(String text) {
        return switch (text) {
            case "true", "on" -> true;
            case "false", "off" -> false;
            default -> Sizes.isSize(text) ? (Object) Sizes.parse(text) : text;
        };
    }

    private ParameterException usage(String message) {
        return new ParameterException(Objects.requireNonNull(spec).commandLine(), message);
    }
}
