package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** Reports of moves. */
@Command(
        name = "report",
        description = {
            "Shows the report of a move: timeline of both hosts, downtime and its parts, passes, decisions, recoveries.",
            "Without a name it lists the reports, newest first."
        })
final class ReportCommand implements Callable<Integer> {
    private static final String ROW = "%-36s  %-16s %-9s %-18s %10s  %s";

    private final MigrationctlMain main;

    @Parameters(arity = "0..1", paramLabel = "ID|NAME", description = "A move, or a guest: its newest one.")
    private @Nullable String name;

    @Option(names = "--guest", paramLabel = "NAME", description = "List the reports of this guest only.")
    private @Nullable String guest;

    ReportCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Override
    public Integer call() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            if (name == null) {
                List<JsonObject> reports =
                        daemon.queryList("report-list", guest == null ? Map.of() : Map.of("guest", guest));
                main.print(reports, table(reports));
            } else {
                JsonObject both = daemon.query("report-show", Map.of("id", name));
                List<String> text =
                        both.list("text").stream().map(String::valueOf).toList();
                main.print(both.object("report").orElse(both), text);
            }
            return ExitCode.DONE.code();
        }
    }

    private static List<String> table(List<JsonObject> reports) {
        List<String> lines = new ArrayList<>();
        lines.add(String.format(Locale.ROOT, ROW, "ID", "GUEST", "MODE", "OUTCOME", "TOTAL", "TO"));
        for (JsonObject report : reports) {
            lines.add(String.format(
                    Locale.ROOT,
                    ROW,
                    report.text("id").orElse(""),
                    report.text("guest").orElse(""),
                    report.text("mode").orElse(""),
                    report.text("outcome").orElse(""),
                    report.number("total-millis").isPresent()
                            ? report.number("total-millis").getAsLong() + " ms"
                            : "-",
                    report.text("destination").orElse("")));
        }
        return lines;
    }
}
