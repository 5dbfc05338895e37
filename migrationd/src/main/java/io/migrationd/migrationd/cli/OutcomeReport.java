package io.migrationd.migrationd.cli;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The last word on a migration: where the guest is and what it took. */
final class OutcomeReport {
    private OutcomeReport() {}

    /** Prints it and returns the exit code. */
    static int print(MigrationctlMain main, String guest, Outcome outcome, MigrationView migration, String runState) {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("guest", guest);
        document.put("outcome", outcome.code().jsonName());
        document.put("exit-code", outcome.code().code());
        document.put("where", outcome.where());
        document.put("message", outcome.sentence());
        document.put("run-state", runState);
        document.put("migration", migration.json());
        List<String> lines = new ArrayList<>();
        lines.add(outcome.sentence());
        lines.addAll(MigrationText.summary(migration));
        main.print(document, lines);
        return outcome.code().code();
    }
}
