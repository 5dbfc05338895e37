package io.migrationd.migrationd.cli;

import java.util.Set;

/**
 * Where a guest is when waiting for its migration is over, and how sure that is.
 *
 * @param where the side that has it: {@code source}, {@code destination}, this host or {@code unknown}
 * @param sentence for a person
 */
record Outcome(ExitCode code, String where, String sentence) {
    private static final String SOURCE = "source";
    private static final String DESTINATION = "destination";
    private static final String HERE = "here";
    private static final String UNKNOWN = "unknown";

    /** Run states in which a guest belongs to this host and runs, or would on {@code cont}. */
    private static final Set<String> OWNED = Set.of("running", "paused", "prelaunch", "suspended", "watchdog");

    /** Of a guest that was sent from here. {@code runState} is its state here, after the migration. */
    static Outcome ofOutgoing(String guest, MigrationView migration, String runState, String destination) {
        return switch (migration.status()) {
            case "completed" -> completed(guest, migration, runState, destination);
            case "failed" -> failed(guest, migration, runState, destination);
            case "cancelled" ->
                new Outcome(
                        ExitCode.CANCELLED,
                        SOURCE,
                        "%s is at the source (%s): the migration was cancelled".formatted(guest, runState));
            default -> stillUnderWay(guest, migration);
        };
    }

    /** Of a guest that was to arrive here. */
    static Outcome ofIncoming(String guest, MigrationView migration, String runState) {
        return switch (migration.status()) {
            case "completed" ->
                migration
                        .error()
                        .map(warning -> new Outcome(
                                ExitCode.AT_DESTINATION_WITH_WARNING,
                                HERE,
                                "%s has arrived (%s), but: %s".formatted(guest, runState, warning)))
                        .orElseGet(() ->
                                new Outcome(ExitCode.DONE, HERE, "%s has arrived (%s)".formatted(guest, runState)));
            case "failed" ->
                new Outcome(
                        ExitCode.FAILED_AT_SOURCE,
                        SOURCE,
                        "%s did not arrive and stays at the source: %s".formatted(guest, reason(migration)));
            case "cancelled" ->
                new Outcome(
                        ExitCode.CANCELLED,
                        SOURCE,
                        "%s did not arrive and stays at the source: the migration was cancelled".formatted(guest));
            default -> stillUnderWay(guest, migration);
        };
    }

    private static Outcome completed(String guest, MigrationView migration, String runState, String destination) {
        String sentence = "%s is at the destination (%s)".formatted(guest, destination);
        if (OWNED.contains(runState)) {
            return new Outcome(
                    ExitCode.AT_DESTINATION_WITH_WARNING,
                    DESTINATION,
                    "%s, but its copy here is %s instead of postmigrate: make sure that it does not run twice"
                            .formatted(sentence, runState));
        }
        return migration
                .error()
                .map(warning -> new Outcome(
                        ExitCode.AT_DESTINATION_WITH_WARNING, DESTINATION, "%s, but: %s".formatted(sentence, warning)))
                .orElseGet(() -> new Outcome(ExitCode.DONE, DESTINATION, sentence));
    }

    private static Outcome failed(String guest, MigrationView migration, String runState, String destination) {
        if (OWNED.contains(runState)) {
            return new Outcome(
                    ExitCode.FAILED_AT_SOURCE,
                    SOURCE,
                    "%s is at the source (%s): the migration failed: %s".formatted(guest, runState, reason(migration)));
        }
        if (runState.equals("postmigrate")) {
            return new Outcome(
                    ExitCode.AT_DESTINATION_WITH_WARNING,
                    DESTINATION,
                    "%s was handed over to the destination (%s), which did not confirm it; look there: %s"
                            .formatted(guest, destination, reason(migration)));
        }
        return new Outcome(
                ExitCode.LOST,
                UNKNOWN,
                "%s is %s at the source and not known to run at the destination (%s): %s"
                        .formatted(guest, runState, destination, reason(migration)));
    }

    private static Outcome stillUnderWay(String guest, MigrationView migration) {
        return migration.paused()
                ? new Outcome(
                        ExitCode.PAUSED,
                        UNKNOWN,
                        "%s waits for its migration to reconnect (%s)%s"
                                .formatted(
                                        guest,
                                        migration.status(),
                                        migration
                                                .pauseReason()
                                                .map(": "::concat)
                                                .orElse("")))
                : new Outcome(
                        ExitCode.TIMED_OUT,
                        UNKNOWN,
                        "gave up waiting; the migration of %s goes on (%s)".formatted(guest, migration.status()));
    }

    private static String reason(MigrationView migration) {
        return migration.error().orElse("the daemon gave no reason");
    }
}
