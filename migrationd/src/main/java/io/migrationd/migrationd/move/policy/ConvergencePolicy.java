package io.migrationd.migrationd.move.policy;

import io.migrationd.migrationd.move.policy.Decision.Cancel;
import io.migrationd.migrationd.move.policy.Decision.RaiseDowntime;
import io.migrationd.migrationd.move.policy.Decision.StartPostcopy;
import io.migrationd.migrationd.move.policy.Decision.SwitchNow;
import io.migrationd.migrationd.move.policy.Decision.ThrottleOff;
import io.migrationd.migrationd.move.policy.Decision.ThrottleOn;
import io.migrationd.migrationd.move.policy.Decision.Wait;
import io.migrationd.migrationd.move.policy.PolicyStage.Event;
import java.util.Locale;

/**
 * Decides about one move, look by look. The order of its questions is drawn in {@code docs/convergence.md}: link, time
 * budget, stepped downtime limit, stall, local minimum, auto-converge, postcopy, cancel. One object per attempt; one
 * thread at a time.
 */
public final class ConvergencePolicy {
    /** A guest that was slowed down when the link broke that often is not slowed down again. */
    private static final int MAX_THROTTLES = 3;
    /** How long a demand to stop throttling is waited for before it is repeated. */
    private static final long THROTTLE_OFF_REPEAT_MILLIS = 2000;
    /** QEMU measures its rate anew every 100 ms: what it switches with is a little above what is left. */
    private static final int SWITCH_MARGIN_PERCENT = 10;
    /** The second half of the budget raises the downtime limit by time as well. */
    private static final double TIME_STEPS_FROM = 0.5;

    private static final double TIME_STEPS_TO = 0.9;

    private final MoveLimits limits;
    private final long startMillis;
    private final PassWatch passes;
    private PolicyStage stage = PolicyStage.PLAIN;
    private int downtimeStep;
    private long downtimeMillis;
    private int throttles;
    private boolean linkDown;
    private long throttleOffAt;
    private boolean throttleOffAsked;

    /**
     * A policy for a move that starts now, with QEMU's downtime-limit at {@link MoveLimits#downtimeStartMillis}.
     *
     * @param startMillis of the clock that every {@link Look} is of
     */
    public ConvergencePolicy(MoveLimits limits, long startMillis) {
        this.limits = limits;
        this.startMillis = startMillis;
        this.passes = new PassWatch(limits.stallPasses(), limits.stallPercent());
        this.downtimeMillis = limits.downtimeStartMillis();
    }

    /** How far it has gone. */
    public PolicyStage stage() {
        return stage;
    }

    /** QEMU's downtime-limit if all was done that was decided. */
    public long downtimeLimitMillis() {
        return downtimeMillis;
    }

    /** What to do about {@code look}; looks come in the order of time. */
    public Decision look(Look look) {
        if (look.link() == LinkHealth.DOWN) {
            return linkIsDown(look);
        }
        linkDown = false;
        throttleOffAsked = false;
        if (stage == PolicyStage.POSTCOPY || stage == PolicyStage.CANCELLED) {
            return new Wait("nothing is left to decide");
        }
        long elapsed = look.nowMillis() - startMillis;
        boolean overBudget = limits.timeBudgetMillis() > 0 && elapsed >= limits.timeBudgetMillis();
        return switch (look.status()) {
            case "active" -> {
                passes.look(look);
                yield overBudget ? budgetIsSpent(look, elapsed) : iterating(look, elapsed);
            }
            case "none", "setup", "wait-unplug" ->
                overBudget ? cancel(budgetSpent(elapsed) + " and no page was sent") : new Wait("it has not begun");
            default -> new Wait("the switchover has begun: " + look.status());
        };
    }

    private Decision linkIsDown(Look look) {
        passes.disturb();
        boolean news = !linkDown;
        linkDown = true;
        boolean throttled = stage == PolicyStage.THROTTLED || look.throttlePercent() > 0;
        boolean isOver = stage == PolicyStage.POSTCOPY || stage == PolicyStage.CANCELLED;
        boolean repeat = throttleOffAsked && look.nowMillis() - throttleOffAt >= THROTTLE_OFF_REPEAT_MILLIS;
        if (!isOver && throttled && (news || !throttleOffAsked || repeat)) {
            throttleOffAsked = true;
            throttleOffAt = look.nowMillis();
            stage = stage.next(Event.THROTTLE_OFF);
            passes.startOver();
            return new ThrottleOff("the link is down: a source that is stalled and throttled at %d %% freezes"
                    .formatted(look.throttlePercent()));
        }
        return new Wait("the link is down");
    }

    private Decision iterating(Look look, long elapsed) {
        boolean isTime = limits.postcopy().afterMillis() > 0
                && elapsed >= limits.postcopy().afterMillis();
        if (isTime) {
            return postcopy("it was to start after %s"
                    .formatted(seconds(limits.postcopy().afterMillis())));
        }
        if (!passes.isFirstPassOver()) {
            return new Wait("the first pass goes on");
        }
        long resulting = look.downtimeMillis(passes.leftBytes());
        if (passes.passEnded() && resulting <= downtimeMillis) {
            passes.startOver();
            return new Wait("what is left takes %d ms, within the limit of %d ms: QEMU switches over"
                    .formatted(resulting, downtimeMillis));
        }
        if (passes.isStalled() && passes.passEnded()) {
            return stalled(look, resulting);
        }
        if (passes.madeNoProgress() && downtimeStep < limits.downtimeSteps()) {
            return raise(
                    downtimeStep + 1,
                    "pass %d left %s, less than %d %% below the one before"
                            .formatted(
                                    look.dirtySyncCount() - 1, mebibytes(passes.leftBytes()), limits.stallPercent()));
        }
        int timeStep = stepByTime(elapsed);
        if (timeStep > downtimeStep) {
            return raise(timeStep, "%s of %s are over".formatted(seconds(elapsed), seconds(limits.timeBudgetMillis())));
        }
        return new Wait("%s left, %d ms of downtime by now".formatted(mebibytes(passes.leftBytes()), resulting));
    }

    /** Nothing gets better by itself: what can be done, mildest first. */
    private Decision stalled(Look look, long resulting) {
        String why = "%d passes without progress, each leaves about %s: the guest dirties %s/s, %s/s get through"
                .formatted(
                        passes.idlePasses(),
                        mebibytes(passes.leftBytes()),
                        mebibytes((long) look.dirtyBytesPerSecond()),
                        mebibytes((long) look.bytesPerSecond()));
        if (passes.isAtMinimum() && resulting <= limits.downtimeMaxMillis()) {
            return switchNow(resulting, why);
        }
        if (downtimeStep < limits.downtimeSteps()) {
            return raise(downtimeStep + 1, why);
        }
        boolean mayThrottle = limits.autoConverge() && stage == PolicyStage.PLAIN && throttles < MAX_THROTTLES;
        if (mayThrottle) {
            if (look.link() != LinkHealth.UP) {
                return new Wait(why + "; not slowed down while the link is shaky");
            }
            throttles++;
            stage = stage.next(Event.THROTTLE_ON);
            passes.startOver();
            return new ThrottleOn(why);
        }
        if (stage == PolicyStage.THROTTLED && look.throttlePercent() > 0 && stillClimbs(look)) {
            return new Wait(why + "; slowed down to %d %% so far".formatted(look.throttlePercent()));
        }
        if (mayGoPostcopy()) {
            return postcopy(why);
        }
        return limits.timeBudgetMillis() > 0
                ? new Wait(why + "; the time budget is not spent")
                : cancel(why + "; there is no time budget and nothing else to try");
    }

    /** QEMU raises the throttle by steps of 10 up to 99; below that the next pass may be another one. */
    private static boolean stillClimbs(Look look) {
        return look.throttlePercent() < 90;
    }

    private boolean mayGoPostcopy() {
        return limits.postcopy().allowed() && limits.postcopy().afterMillis() == 0;
    }

    private Decision budgetIsSpent(Look look, long elapsed) {
        String why = budgetSpent(elapsed);
        long resulting = look.downtimeMillis(passes.isFirstPassOver() ? passes.leftBytes() : look.remainingBytes());
        if (passes.isFirstPassOver() && resulting <= downtimeMillis) {
            // QEMU does it at the end of this pass; what comes in between shows at the next one.
            return passes.passEnded() || !isLate(elapsed)
                    ? new Wait(why + "; what is left is within the limit of %d ms".formatted(downtimeMillis))
                    : lastResort(why);
        }
        if (passes.isFirstPassOver() && resulting <= limits.downtimeMaxMillis() && !isLate(elapsed)) {
            return switchNow(resulting, why);
        }
        return lastResort(why);
    }

    /** What was about to switch over has a tenth of the budget more. */
    private boolean isLate(long elapsed) {
        return elapsed >= limits.timeBudgetMillis() + limits.timeBudgetMillis() / 10;
    }

    private Decision lastResort(String why) {
        return limits.postcopy().allowed() ? postcopy(why) : cancel(why + ", and postcopy is not allowed");
    }

    private int stepByTime(long elapsed) {
        if (limits.timeBudgetMillis() == 0) {
            return 0;
        }
        double share =
                (elapsed / (double) limits.timeBudgetMillis() - TIME_STEPS_FROM) / (TIME_STEPS_TO - TIME_STEPS_FROM);
        return (int) Math.clamp(Math.floor(share * limits.downtimeSteps()), 0, limits.downtimeSteps());
    }

    private Decision raise(int step, String why) {
        downtimeStep = step;
        long target = limits.downtimeAtStep(step);
        if (target <= downtimeMillis) {
            // SWITCH_NOW was there before, or the steps are smaller than a millisecond.
            return new Wait(why + "; the limit is %d ms already".formatted(downtimeMillis));
        }
        downtimeMillis = target;
        return new RaiseDowntime(target, why);
    }

    private Decision switchNow(long resulting, String why) {
        long target =
                Math.min(limits.downtimeMaxMillis(), Math.ceilDiv(resulting * (100 + SWITCH_MARGIN_PERCENT), 100L));
        if (target <= downtimeMillis) {
            return new Wait(why + "; the limit is %d ms already".formatted(downtimeMillis));
        }
        downtimeMillis = target;
        return new SwitchNow(
                target,
                "%s; it will not get less: %d ms of downtime now, %d ms are allowed"
                        .formatted(why, resulting, limits.downtimeMaxMillis()));
    }

    private Decision postcopy(String why) {
        stage = stage.next(Event.START_POSTCOPY);
        return new StartPostcopy(why);
    }

    private Decision cancel(String why) {
        stage = stage.next(Event.CANCEL);
        return new Cancel(why);
    }

    private String budgetSpent(long elapsed) {
        return "the time budget of %s is spent (%s)".formatted(seconds(limits.timeBudgetMillis()), seconds(elapsed));
    }

    private static String seconds(long millis) {
        return String.format(Locale.ROOT, "%.1f s", millis / 1000.0);
    }

    private static String mebibytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1 << 20));
    }
}
