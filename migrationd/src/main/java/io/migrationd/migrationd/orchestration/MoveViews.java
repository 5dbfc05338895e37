package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.MoveView;
import io.migrationd.migrationd.control.MoveOperations.Progress;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.TargetState;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;

/** Moves as the control socket shows them. */
final class MoveViews {
    private static final Progress NOTHING = new Progress(0, 0, 0, 0, 0, 0, 0);

    private MoveViews() {}

    static MoveView of(SourceMove move) {
        SourceState state = move.state();
        Optional<LinkHealth> link = move.link();
        boolean down = link.isPresent() && !link.get().up();
        return new MoveView(
                move.id().toString(),
                move.job().order().guest(),
                "source",
                move.job().peer(),
                move.job().attempt(),
                MoveWords.word(state.phase()),
                move.outcome().map(MoveWords::word),
                move.outcome().map(MoveWords::where).orElse(MoveWords.where(state.phase())),
                move.message().isEmpty()
                        ? "%s is being moved to %s%s"
                                .formatted(
                                        move.job().order().guest(),
                                        move.job().peer(),
                                        move.rescueWords()
                                                .map(words -> "; " + words)
                                                .orElse(""))
                        : move.message(),
                Optional.of(state.fact().status().qmpName()),
                move.job().startedAtMillis(),
                move.age().toMillis(),
                progress(move.recorder()),
                down ? Optional.of(Duration.between(link.get().since(), Instant.now())) : Optional.empty(),
                (int) Math.min(
                        Integer.MAX_VALUE, link.map(LinkHealth::outageCount).orElse(0L)),
                move.recoveries(),
                move.lastDecision(),
                // Never without, not even until the attempt is planned: whoever waits would go away.
                move.outcome().filter(move::isRetried).map(_ -> MoveService.pauseAfter(move.job())));
    }

    /** A move that has failed under an earlier daemon and will be tried again by this one. */
    static MoveView ofFailed(SourceJob job) {
        Outcome how = Outcome.FAILED_AT_SOURCE;
        return new MoveView(
                job.id().toString(),
                job.order().guest(),
                "source",
                job.peer(),
                job.attempt(),
                MoveWords.word(SourcePhase.ENDED),
                Optional.of(MoveWords.word(how)),
                MoveWords.where(how),
                MoveWords.sourceSentence(job, how, "the daemon was restarted since"),
                Optional.empty(),
                job.startedAtMillis(),
                System.currentTimeMillis() - job.startedAtMillis(),
                NOTHING,
                Optional.empty(),
                0,
                0,
                Optional.empty(),
                Optional.empty());
    }

    static MoveView of(TargetMove move) {
        TargetState state = move.state();
        String guest = move.job().guest();
        return new MoveView(
                move.id().toString(),
                guest,
                "destination",
                move.peer(),
                1,
                MoveWords.word(state.phase()),
                move.outcome().map(MoveWords::word),
                move.outcome().map(MoveWords::where).orElse("unknown"),
                move.outcome()
                        .map(how -> sentence(guest, how))
                        .orElse("%s comes from %s"
                                .formatted(guest, move.job().order().sourceHost())),
                Optional.of(state.fact().status().qmpName()),
                move.job().startedAtMillis(),
                System.currentTimeMillis() - move.job().startedAtMillis(),
                progress(move.recorder()),
                Optional.empty(),
                0,
                0,
                Optional.empty(),
                Optional.empty());
    }

    private static String sentence(String guest, Outcome how) {
        return switch (how) {
            case MOVED -> "%s runs here".formatted(guest);
            case FAILED_AT_SOURCE, CANCELLED -> "%s did not come: it runs on at its source".formatted(guest);
            case LOST -> "%s is lost: its QEMU died when it alone had what was missing".formatted(guest);
            case UNSURE -> "nobody can say whether %s has run here before its QEMU died".formatted(guest);
        };
    }

    private static Progress progress(MoveRecorder recorder) {
        return recorder.lastCounters()
                .flatMap(QemuMigration::ram)
                .map(ram -> new Progress(
                        ram.totalBytes(),
                        ram.remainingBytes(),
                        ram.transferredBytes(),
                        ram.dirtySyncCount(),
                        ram.mbps(),
                        recorder.downtimeMillis().orElse(0),
                        ram.postcopyRequests()))
                .orElse(NOTHING);
    }
}
