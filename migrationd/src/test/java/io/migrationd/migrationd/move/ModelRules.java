package io.migrationd.migrationd.move;

import java.util.Optional;

/** What must hold in every state of the model: docs/ownership.md. */
final class ModelRules {
    private ModelRules() {}

    static Optional<String> violation(ModelWorld world, boolean quiescent) {
        if (world.sourceQemu.runs() && world.targetQemu.runs()) {
            return Optional.of("two running");
        }
        if (world.sourceQemu.runs() && world.targetRan) {
            return Optional.of("the source's guest runs although the target's has run");
        }
        if (world.targetQemu.runs() && world.targetJournal.ownership() != Ownership.OWNER) {
            return Optional.of("runs at the target without its right in the journal");
        }
        if (world.targetQemu.runs() && world.sourceJournal.ownership() == Ownership.OWNER) {
            return Optional.of("runs at the target while the source's journal has the right");
        }
        if (world.sourceQemu.killedByUs() && !world.targetRan) {
            return Optional.of("we have quit the source's QEMU before the guest ran at the target");
        }
        return quiescent ? atRest(world) : Optional.empty();
    }

    private static Optional<String> atRest(ModelWorld world) {
        ModelQemu source = world.sourceQemu;
        ModelQemu target = world.targetQemu;
        SourcePhase phase = world.source.phase();
        TargetPhase targetPhase = world.target.phase();
        boolean over = phase == SourcePhase.ENDED || phase == SourcePhase.STRANDED || phase == SourcePhase.NEW;
        boolean targetOver = switch (targetPhase) {
            case NONE, DECLINED, UNSURE, ENDED -> true;
            case LOADED -> world.source.outcome() == Outcome.UNSURE; // An operator decides between the two.
            case STARTING, RUNNING, PAUSED, RECOVERING -> phase == SourcePhase.STRANDED; // Waits for rescue.
            case PREPARING, STANDBY, GRANTED, COMPLETE -> false;
        };
        if (!over || !targetOver) {
            return Optional.of("at rest in " + phase + " and " + targetPhase);
        }
        if (phase == SourcePhase.NEW) {
            return Optional.empty(); // The daemon died before there was a move.
        }
        if (source.runs() || (target.runs() && target.status() == QemuStatus.COMPLETED)) {
            return Optional.empty();
        }
        boolean unsure = world.source.outcome() == Outcome.UNSURE || targetPhase == TargetPhase.UNSURE;
        // One that was told to run and hangs runs as soon as it hangs no more.
        boolean ranOrWill = world.targetRan || world.targetContIsLate;
        boolean sourceWhole = source.alive() && !ranOrWill;
        if (sourceWhole) {
            boolean rescuable = phase == SourcePhase.STRANDED
                    && (source.status() == QemuStatus.POSTCOPY_PAUSED || source.status() == QemuStatus.POSTCOPY_ACTIVE);
            return rescuable || unsure ? Optional.empty() : Optional.of("whole at the source and doesn't run");
        }
        boolean sourceDied = !source.alive() && !source.killedByUs();
        boolean targetDied = target.started() && !target.alive() && !target.killedByUs();
        if (target.alive() && target.status() == QemuStatus.COMPLETED) {
            return unsure && sourceDied ? Optional.empty() : Optional.of("whole at the target and doesn't run");
        }
        if (source.alive() && target.alive() && ranOrWill) {
            // The rest of its pages is in a QEMU that won't send it again by itself.
            return phase == SourcePhase.STRANDED ? Optional.empty() : Optional.of("two halves, and nobody joins them");
        }
        // It may have died as the owner's just when the move ended.
        boolean afterwards = (phase == SourcePhase.ENDED && !world.source.isReleased() && world.source.gone())
                || targetPhase == TargetPhase.ENDED;
        boolean recorded = afterwards
                || unsure
                || world.source.outcome() == Outcome.LOST
                || world.target.outcome() == Outcome.LOST;
        return (sourceDied || targetDied) && recorded ? Optional.empty() : Optional.of("gone, and nobody's fault");
    }
}
