package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.RescueKind;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.qmp.QmpException;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Which rescue a source's move needs, and its steps one after the other. What it returns are events for the machine.
 * For the move's thread, but for {@link #refusal}.
 */
final class RescueDriver implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(RescueDriver.class);
    private static final int MOST_FAILURES = 5;
    private static final long AGAIN_MILLIS = 2_000;

    private final SourceJob job;
    private final MoveServices services;
    private final MoveRescue rescue;
    private final QemuHandle qemu;
    private final Supplier<SourceState> state;
    private boolean restored;
    private boolean replaceAsked;
    private boolean goOnAsked;
    private int failures;
    private long againNanos = System.nanoTime();
    private @Nullable Replacement replacement;
    private volatile boolean replaced;
    // For refusals: written by the loop, read by all.
    private volatile RescueRules.Means means;

    RescueDriver(
            SourceJob job, MoveServices services, MoveRescue rescue, QemuHandle qemu, Supplier<SourceState> state) {
        this.job = job;
        this.services = services;
        this.rescue = rescue;
        this.qemu = qemu;
        this.state = state;
        this.means = new RescueRules.Means(false, false, Optional.empty(), false);
    }

    private RescueRules.Means look() {
        boolean stranded = state.get().phase() == SourcePhase.STRANDED;
        return new RescueRules.Means(
                (stranded || isPaging()) && rescue.isKept(),
                rescue.isWhole(),
                replacement != null ? Optional.of("replace") : rescue.busy(),
                stranded && services.mayStartHere(job.order().guest()));
    }

    /** Why a rescue would be refused now; any thread. */
    Optional<String> refusal(RescueKind kind) {
        return RescueRules.refusal(kind, state.get(), means);
    }

    boolean isReplacing() {
        return replacement != null;
    }

    boolean hasReplaced() {
        return replaced;
    }

    /** Goes on with what an earlier daemon has begun, once. */
    Optional<MoveEvent> restoreOnce() {
        if (restored) {
            return Optional.empty();
        }
        restored = true;
        rescue.restore();
        if (Replacement.isLeft(services, job)) {
            Replacement left = new Replacement(job, services, rescue, qemu, state);
            replacement = left;
            try {
                left.restore();
            } catch (IOException e) {
                failed("replace", e);
            }
        } else if (rescue.isActive() && !rescue.isWhole() && isPaging()) {
            goOnAsked = true;
            return Optional.of(new MoveEvent.Pause());
        }
        return Optional.empty();
    }

    private boolean isPaging() {
        SourcePhase phase = state.get().phase();
        return phase == SourcePhase.PAGING || phase == SourcePhase.RECOVERING;
    }

    /** Begins, unless it has to be refused by now. */
    Optional<MoveEvent> begin(RescueKind kind) {
        means = look();
        Optional<String> refusal = refusal(kind);
        if (refusal.isPresent()) {
            rescue.say("%s is refused: %s".formatted(MoveWords.word(kind), refusal.get()));
            return Optional.empty();
        }
        failures = 0;
        switch (kind) {
            case SERVE -> {
                return Optional.of(new MoveEvent.Resume());
            }
            case DRAIN -> {
                if (isPaging()) {
                    goOnAsked = true;
                    startDrain();
                    // QEMU and the destination must not go on behind the copy's back.
                    return Optional.of(new MoveEvent.Pause());
                }
                startDrain();
            }
            case REPLACE -> replaceAsked = true;
        }
        return Optional.empty();
    }

    private void startDrain() {
        againNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(AGAIN_MILLIS);
        try {
            rescue.drain(qemu);
        } catch (IOException | QmpException e) {
            failed("drain", e);
        }
    }

    /**
     * One look.
     *
     * @param real what QEMU said, if it did
     */
    Optional<MoveEvent> poll(Optional<QemuFact> real) {
        boolean whole = rescue.pollDrain(real, qemu);
        rescue.pollServe();
        means = look();
        if (whole) {
            rescue.say("drain: every page is here, the source's QEMU may be shut down");
        }
        boolean due = againNanos - System.nanoTime() <= 0 && failures < MOST_FAILURES;
        if (isPaging()) {
            if (goOnAsked && rescue.isWhole() && !rescue.isDraining()) {
                // From the copy, as soon as the destination listens.
                goOnAsked = false;
                return Optional.of(new MoveEvent.Resume());
            }
            if (goOnAsked && due && !rescue.isDraining()) {
                startDrain();
            }
            return Optional.empty();
        }
        boolean wanted = replaceAsked || services.rescues().automatic();
        if (wanted && due && RescueRules.wantsReplace(state.get(), means)) {
            if (rescue.isWhole()) {
                replacement = new Replacement(job, services, rescue, qemu, state);
            } else {
                startDrain();
            }
        }
        return Optional.empty();
    }

    /** The next step of a guest's new start. */
    @SuppressWarnings("RefactorSwitch") // Each arm does several things before it answers.
    Optional<MoveEvent> pollReplacement() {
        Replacement running = replacement;
        if (running == null) {
            return Optional.empty();
        }
        means = look();
        try {
            switch (running.poll()) {
                case GOES_ON -> {
                    return Optional.empty();
                }
                case DONE -> {
                    replaced = true;
                    running.done();
                    running.close();
                    replacement = null;
                    return Optional.of(new MoveEvent.Replaced());
                }
                case LOST -> {
                    running.close();
                    replacement = null;
                    return Optional.of(new MoveEvent.QemuGone());
                }
            }
        } catch (IOException | QmpException | IllegalStateException e) {
            running.abandon();
            replacement = null;
            failed("replace", e);
        }
        return Optional.empty();
    }

    private void failed(String kind, Exception e) {
        failures++;
        againNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(AGAIN_MILLIS * failures);
        rescue.say("%s failed, %s: %s"
                .formatted(
                        kind,
                        failures < MOST_FAILURES ? "it is tried again" : "an operator has to ask for it again",
                        e.getMessage()));
        log.atWarn().addKeyValue("move", job.id()).setCause(e).log("rescue failed");
    }

    void discard() {
        rescue.discard();
    }

    @Override
    public void close() {
        Replacement running = replacement;
        replacement = null;
        if (running != null) {
            running.close();
        }
        rescue.close();
    }
}
