package io.migrationd.migrationd.orchestration;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.control.MoveOperations.RescueKind;
import io.migrationd.migrationd.move.MoveCodec;
import io.migrationd.migrationd.move.SourceState;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class RescueRulesTest {
    private static final RescueRules.Means KEPT = new RescueRules.Means(true, false, Optional.empty(), true);
    private static final RescueRules.Means WHOLE = new RescueRules.Means(true, true, Optional.empty(), true);

    /** Epoch 4 at first, 5 when given away, 6 when taken back. */
    private static SourceState state(String phase, long epoch, String qemu, String heard, String recovery) {
        return MoveCodec.decodeSource(("v=1 phase=%s mode=POSTCOPY guest-runs=true epoch=4 own-epoch=%d qemu=%s"
                        + " vcpus=STOPPED gone=false heard=%s target-paused=false path-broken=false complete=false"
                        + " held=false recovery=%s")
                .formatted(phase, epoch, qemu, heard, recovery));
    }

    private static final SourceState DECLINED = state("STRANDED", 6, "POSTCOPY_PAUSED", "DECLINED", "IDLE");
    private static final SourceState RECOVERING = state("RECOVERING", 5, "POSTCOPY_PAUSED", "STARTED", "ASKED");

    private static String refused(RescueKind kind, SourceState state, RescueRules.Means means) {
        return RescueRules.refusal(kind, state, means).orElse("not refused");
    }

    @Test
    void pausedSourceIsDrained() {
        assertThat(RescueRules.refusal(RescueKind.DRAIN, RECOVERING, KEPT)).isEmpty();
        assertThat(RescueRules.refusal(RescueKind.DRAIN, DECLINED, KEPT)).isEmpty();
        assertThat(RescueRules.refusal(
                        RescueKind.DRAIN, state("PAGING", 5, "POSTCOPY_PAUSED", "STARTED", "IDLE"), KEPT))
                .isEmpty();
    }

    @Test
    void sourceThatIsNotPausedIsNotDrained() {
        assertThat(refused(RescueKind.DRAIN, state("PAGING", 5, "POSTCOPY_ACTIVE", "STARTED", "IDLE"), KEPT))
                .contains("only a paused postcopy", "paging", "postcopy-active");
        assertThat(refused(RescueKind.DRAIN, state("STRANDED", 5, "FAILED", "STARTED", "IDLE"), KEPT))
                .contains("failed");
        assertThat(refused(RescueKind.DRAIN, state("MOVING", 4, "ACTIVE", "NOTHING", "IDLE"), KEPT))
                .contains("moving");
        assertThat(refused(RescueKind.DRAIN, state("RECOVERING", 5, "POSTCOPY_PAUSED", "STARTED", "RESUMING"), KEPT))
                .contains("just being told to go on");
    }

    @Test
    void drainNeedsTheKeptPartsAndIsDoneOnce() {
        assertThat(refused(RescueKind.DRAIN, RECOVERING, new RescueRules.Means(false, false, Optional.empty(), true)))
                .contains("was not kept");
        assertThat(refused(RescueKind.DRAIN, RECOVERING, WHOLE)).contains("already");
        assertThat(refused(
                        RescueKind.DRAIN, RECOVERING, new RescueRules.Means(true, false, Optional.of("drain"), true)))
                .contains("under way: drain");
    }

    @Test
    void destinationIsServedOnlyFromACompleteCopy() {
        assertThat(RescueRules.refusal(RescueKind.SERVE, RECOVERING, WHOLE)).isEmpty();
        assertThat(refused(RescueKind.SERVE, RECOVERING, KEPT)).contains("no complete copy");
        assertThat(refused(RescueKind.SERVE, DECLINED, WHOLE)).contains("stranded");
    }

    @Test
    void guestIsStartedAnewOnlyIfItsDestinationHasDeclined() {
        assertThat(RescueRules.refusal(RescueKind.REPLACE, DECLINED, KEPT)).isEmpty();
        assertThat(RescueRules.wantsReplace(DECLINED, WHOLE)).isTrue();
        SourceState released = state("STRANDED", 5, "FAILED", "LOADED", "IDLE");
        assertThat(refused(RescueKind.REPLACE, released, WHOLE))
                .contains("may have run the guest", "it was given the right to run");
        assertThat(refused(RescueKind.REPLACE, RECOVERING, WHOLE)).contains("it was seen running");
        assertThat(RescueRules.wantsReplace(released, WHOLE)).isFalse();
        assertThat(RescueRules.wantsReplace(RECOVERING, WHOLE)).isFalse();
    }

    @Test
    void guestIsStartedAnewOnlyWhereItIsStrandedAndDefined() {
        assertThat(refused(RescueKind.REPLACE, state("RETURNING", 6, "POSTCOPY_ACTIVE", "DECLINED", "IDLE"), KEPT))
                .contains("only a stranded guest", "returning");
        assertThat(refused(RescueKind.REPLACE, DECLINED, new RescueRules.Means(true, true, Optional.empty(), false)))
                .contains("no [incoming]");
        assertThat(refused(RescueKind.REPLACE, DECLINED, new RescueRules.Means(false, false, Optional.empty(), true)))
                .contains("has to be drained before", "was not kept");
    }
}
