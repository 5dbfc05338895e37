package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.Optional;
import java.util.OptionalLong;

/** A move as the daemon described it. */
record MoveView(JsonObject json) {
    String guest() {
        return json.text("guest").orElse("?");
    }

    String phase() {
        return json.text("phase").orElse("unknown");
    }

    /** Absent while it is under way. */
    Optional<String> outcome() {
        return json.text("outcome");
    }

    /** Over, and not tried again. */
    boolean ended() {
        return outcome().isPresent() && !isTriedAgain();
    }

    /** It has failed, and another attempt follows. */
    boolean isTriedAgain() {
        return nextAttemptMillis().isPresent();
    }

    OptionalLong nextAttemptMillis() {
        return json.number("next-attempt-millis");
    }

    long attempt() {
        return json.number("attempt").orElse(1);
    }

    String where() {
        return json.text("where").orElse("unknown");
    }

    String message() {
        return json.text("message").orElse("");
    }

    JsonObject progress() {
        return json.object("progress").orElse(JsonObject.EMPTY);
    }

    boolean linkIsDown() {
        return json.number("link-down-millis").isPresent();
    }

    /** What the end means to the program that waits. */
    ExitCode exitCode() {
        return switch (isTriedAgain() ? "" : outcome().orElse("")) {
            case "" -> phase().equals("recovering") ? ExitCode.PAUSED : ExitCode.TIMED_OUT;
            case "moved" -> ExitCode.DONE;
            case "moved-with-warning" -> ExitCode.AT_DESTINATION_WITH_WARNING;
            case "failed-at-source" -> ExitCode.FAILED_AT_SOURCE;
            case "cancelled" -> ExitCode.CANCELLED;
            case "refused" -> ExitCode.REFUSED;
            default -> ExitCode.LOST;
        };
    }
}
