package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.SourcePhase;
import java.util.Locale;

/** The words of moves in JSON, in logs and to people. */
final class MoveWords {
    private MoveWords() {}

    static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static String word(SourcePolicy.Order order) {
        return switch (order) {
            case SourcePolicy.Order.SetParameters _ -> "set-parameters";
            case SourcePolicy.Order.SwitchOver _ -> "switch-over";
            case SourcePolicy.Order.StartPostcopy _ -> "start-postcopy";
            case SourcePolicy.Order.Cancel _ -> "cancel";
        };
    }

    static long remaining(QemuMigration.Ram ram) {
        return ram.remainingBytes();
    }

    /** Where the guest is now, and why. */
    static String sourceSentence(SourceJob job, Outcome how, String reason) {
        String guest = job.order().guest();
        return switch (how) {
            case MOVED -> "%s runs at %s".formatted(guest, job.peer());
            case FAILED_AT_SOURCE -> "%s runs on here: the move to %s failed: %s".formatted(guest, job.peer(), reason);
            case CANCELLED -> "%s runs on here: the move to %s was cancelled: %s".formatted(guest, job.peer(), reason);
            case LOST -> "%s is lost: a QEMU died that alone had what was missing (%s)".formatted(guest, reason);
            case UNSURE ->
                "nobody can say whether %s runs at %s: look there, then migrationctl moves reclaim --force (%s)"
                        .formatted(guest, job.peer(), reason);
        };
    }

    /** The same, for a guest that a rescue has started anew. */
    static String replacedSentence(SourceJob job) {
        return "%s runs on here, in a new QEMU: its destination at %s died before it had run it"
                .formatted(job.order().guest(), job.peer());
    }

    /** The side that has the guest while the move is under way. */
    static String where(SourcePhase phase) {
        return switch (phase) {
            case NEW, PREPARING, MOVING, STOPPING, SWITCHING, GATE, ABORTING, RETURNING -> "source";
            case PAGING, RECOVERING, CLOSING -> "destination";
            case FINISHING, PACKAGING, RELEASED, STRANDED, ENDED -> "unknown";
        };
    }

    /** Before the gate was passed. */
    static boolean mayBeCancelled(SourcePhase phase) {
        return switch (phase) {
            case NEW, PREPARING, MOVING, STOPPING, SWITCHING, GATE -> true;
            case FINISHING, PACKAGING, RELEASED, PAGING, RECOVERING, CLOSING, RETURNING, ABORTING, STRANDED, ENDED ->
                false;
        };
    }

    /** The side that has the guest. */
    static String where(Outcome how) {
        return switch (how) {
            case MOVED -> "destination";
            case FAILED_AT_SOURCE, CANCELLED -> "source";
            case LOST, UNSURE -> "unknown";
        };
    }
}
