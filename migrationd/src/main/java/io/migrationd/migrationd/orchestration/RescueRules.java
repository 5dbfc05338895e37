package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.RescueKind;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.rescue.Evidence;
import java.util.List;
import java.util.Optional;

/** Which rescue fits which state of a source's move: a pure function. */
final class RescueRules {
    private RescueRules() {}

    /**
     * What there is for a rescue.
     *
     * @param kept whether the parts of the stream were kept whole
     * @param whole whether every page is in the drained copy
     * @param busy what a rescue does now, if one is under way
     * @param mayStart whether this host's definition of the guest says how to start it
     */
    record Means(boolean kept, boolean whole, Optional<String> busy, boolean mayStart) {}

    /** Why it is refused; empty if it may begin. */
    static Optional<String> refusal(RescueKind kind, SourceState state, Means means) {
        if (means.busy().isPresent()) {
            return means.busy().map(busy -> "a rescue is under way: " + busy);
        }
        return switch (kind) {
            case DRAIN -> drain(state, means);
            case SERVE -> serve(state, means);
            case REPLACE -> replace(state, means);
        };
    }

    /** Whether a guest is to be started here again without being asked. */
    static boolean wantsReplace(SourceState state, Means means) {
        return state.phase() == SourcePhase.STRANDED
                && refusal(RescueKind.REPLACE, state, means).isEmpty();
    }

    private static Optional<String> drain(SourceState state, Means means) {
        if (means.whole()) {
            return Optional.of("every page is in the copy already");
        }
        if (!means.kept()) {
            return Optional.of("the beginning of its stream was not kept whole, no copy can be made");
        }
        return paused(state);
    }

    private static Optional<String> paused(SourceState state) {
        boolean fits = state.phase() == SourcePhase.PAGING
                || state.phase() == SourcePhase.RECOVERING
                || state.phase() == SourcePhase.STRANDED;
        if (state.gone()) {
            return Optional.of("its QEMU here is gone");
        }
        if (!fits || state.fact().status() != QemuStatus.POSTCOPY_PAUSED) {
            return Optional.of("only a paused postcopy is drained: the move is %s, its QEMU is %s"
                    .formatted(
                            MoveWords.word(state.phase()), state.fact().status().qmpName()));
        }
        if (state.recovery() == SourceState.Recovery.RESUMING) {
            return Optional.of("its QEMU is just being told to go on");
        }
        return Optional.empty();
    }

    private static Optional<String> serve(SourceState state, Means means) {
        if (state.phase() != SourcePhase.PAGING && state.phase() != SourcePhase.RECOVERING) {
            return Optional.of("only a destination that runs the guest is served: the move is %s"
                    .formatted(MoveWords.word(state.phase())));
        }
        return means.whole() ? Optional.empty() : Optional.of("there is no complete copy: drain it first");
    }

    private static Optional<String> replace(SourceState state, Means means) {
        List<String> reasons = evidence(state).reasons();
        if (!reasons.isEmpty()) {
            return Optional.of("the destination may have run the guest: %s. Its memory here is older than its disks"
                    .formatted(String.join(", ", reasons)));
        }
        if (state.phase() != SourcePhase.STRANDED) {
            return Optional.of(
                    "only a stranded guest is started anew: the move is %s".formatted(MoveWords.word(state.phase())));
        }
        if (!means.mayStart()) {
            return Optional.of("its definition here has no [incoming], which says how it is started");
        }
        return means.whole() ? Optional.empty() : drain(state, means).map(why -> "it has to be drained before: " + why);
    }

    /**
     * What the source knows of the destination. One that has declined proves by its journal that it never let the guest
     * run, and its QEMU never does that by itself: what it loaded, and the pages that its devices asked for, do not
     * matter then.
     */
    static Evidence evidence(SourceState state) {
        boolean declined = state.heard() == SourceState.Heard.DECLINED && !state.isReleased();
        boolean ran = state.heard() == SourceState.Heard.STARTED;
        return declined ? Evidence.NONE : new Evidence(false, false, false, ran, true);
    }
}
