package io.migrationd.migrationd.cli;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.migrationd.qmp.Json;
import io.migrationd.migrationd.qmp.JsonObject;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Sends a command as it stands. */
@Command(
        name = "raw",
        description = {
            "Sends one QMP command as it is given and prints the reply.",
            "Example: migrationctl raw '{\"execute\": \"query-migrate\", \"arguments\": {\"guest\": \"web01\"}}'"
        })
final class RawCommand implements Callable<Integer> {
    private final MigrationctlMain main;

    @Parameters(paramLabel = "JSON", description = "The command: an object with execute (or exec-oob), arguments, id.")
    private String command = "";

    @Spec
    private @Nullable CommandSpec spec;

    RawCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws DaemonUnreachableException {
        String line = Json.write(parsed());
        try (QmpClient daemon = main.connect()) {
            String reply = daemon.exchange(line);
            main.terminal().out().println(reply.strip());
            return Json.parseObject(reply).object("error").isPresent() ? ExitCode.REFUSED.code() : ExitCode.DONE.code();
        } catch (JsonParseException e) {
            throw new IllegalStateException("the client let a reply pass that is no JSON object", e);
        }
    }

    /** A command over several lines is sent as one. */
    private JsonObject parsed() {
        try {
            return Json.parseObject(command);
        } catch (JsonParseException e) {
            throw new ParameterException(
                    Objects.requireNonNull(spec).commandLine(), "not a QMP command: " + e.getOriginalMessage(), e);
        }
    }
}
