package io.migrationd.migrationd.cli;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the demo saw.
 *
 * @param problems what speaks against success, empty when nothing does
 */
record DemoResult(
        long ramBytes,
        String uri,
        MigrationView migration,
        String sourceState,
        String destinationState,
        long operationsBefore,
        DemoCheck after,
        List<String> problems) {
    static DemoResult of(
            long ramBytes,
            String uri,
            MigrationView migration,
            String sourceState,
            String destinationState,
            long operationsBefore,
            DemoCheck after) {
        return new DemoResult(
                ramBytes,
                uri,
                migration,
                sourceState,
                destinationState,
                operationsBefore,
                after,
                DemoCheck.problems(migration, sourceState, destinationState, operationsBefore, after));
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
        terminal.out().println(GuestText.fact("source", sourceState));
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
        document.put("scenario", "precopy");
        document.put("outcome", problems.isEmpty() ? "passed" : "failed");
        document.put("problems", problems);
        document.put("ram-bytes", ramBytes);
        document.put("uri", uri);
        document.put("source", Map.of("run-state", sourceState));
        document.put("destination", Map.of("run-state", destinationState));
        document.put("operations-before", operationsBefore);
        document.put("check", after.report());
        document.put("migration", migration.json());
        return document;
    }
}
