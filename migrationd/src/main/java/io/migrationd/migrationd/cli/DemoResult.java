package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the demo saw.
 *
 * @param problems what speaks against success, empty when nothing does
 */
record DemoResult(
        DemoScenario scenario,
        long ramBytes,
        String uri,
        MigrationView migration,
        MigrationView arrival,
        String sourceState,
        String destinationState,
        boolean runsAgainAtSource,
        long operationsBefore,
        DemoCheck after,
        List<String> problems) {
    /** The link and the daemon. */
    private static final int BREAKS = 2;

    static DemoResult of(
            DemoScenario scenario,
            long ramBytes,
            String uri,
            MigrationView migration,
            MigrationView arrival,
            String sourceState,
            String destinationState,
            boolean runsAgainAtSource,
            long operationsBefore,
            DemoCheck after) {
        List<String> problems = DemoCheck.problems(
                migration, sourceState, destinationState, runsAgainAtSource, operationsBefore, after);
        problems.addAll(problemsOf(scenario, migration));
        return new DemoResult(
                scenario,
                ramBytes,
                uri,
                migration,
                arrival,
                sourceState,
                destinationState,
                runsAgainAtSource,
                operationsBefore,
                after,
                List.copyOf(problems));
    }

    /** What was to be shown must have happened. */
    private static List<String> problemsOf(DemoScenario scenario, MigrationView migration) {
        long recoveries = migration.postcopy().number("recovery-count").orElse(0);
        if (scenario != DemoScenario.PRECOPY && migration.postcopy().members().isEmpty()) {
            return List.of("the migration was over before postcopy");
        }
        return scenario == DemoScenario.RECOVERY && recoveries < BREAKS
                ? List.of("%d recoveries and not %d".formatted(recoveries, BREAKS))
                : List.of();
    }

    void print(Terminal terminal, boolean json) {
        if (json) {
            terminal.out().println(Json.write(document()));
            return;
        }
        terminal.out()
                .println(
                        problems.isEmpty()
                                ? "the guest runs at the destination (%s), and nowhere else".formatted(uri)
                                : "the demo failed");
        MigrationText.summary(migration).forEach(terminal.out()::println);
        arrival.postcopy()
                .object("faults")
                .ifPresent(faults -> terminal.out().println(MigrationText.faultWait(faults)));
        terminal.out()
                .println(GuestText.fact(
                        "source",
                        sourceState
                                + (runsAgainAtSource ? ", and let its copy run again" : ", and refuses to run it")));
        terminal.out().println(GuestText.fact("destination", destinationState));
        terminal.out()
                .println(GuestText.fact(
                        "check",
                        "%s of %d pages verified, %s violations, %d operations before and %d after the move"
                                .formatted(
                                        after.verified() ? "all" : "not all",
                                        after.pages(),
                                        after.violations().isPresent()
                                                ? Long.toString(
                                                        after.violations().getAsLong())
                                                : "no report of",
                                        operationsBefore,
                                        after.operations())));
    }

    private Map<String, Object> document() {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("scenario", scenario.title());
        document.put("outcome", problems.isEmpty() ? "passed" : "failed");
        document.put("problems", problems);
        document.put("ram-bytes", ramBytes);
        document.put("uri", uri);
        document.put("source", Map.of("run-state", sourceState));
        document.put("destination", Map.of("run-state", destinationState));
        document.put("runs-again-at-source", runsAgainAtSource);
        document.put("operations-before", operationsBefore);
        document.put("check", after.report());
        document.put("migration", migration.json());
        document.put("arrival", arrival.json());
        return document;
    }
}
