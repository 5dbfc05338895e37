package io.migrationd.it.matrix;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.fault.Newcomers;
import io.migrationd.it.fault.Place;
import io.migrationd.it.fault.Scope;
import io.migrationd.it.fault.Step;
import io.migrationd.it.fault.Step.Action;
import io.migrationd.it.fault.Step.Action.Break;
import io.migrationd.it.fault.Step.Action.Run;
import io.migrationd.it.fault.Step.Trigger;
import io.migrationd.it.fault.Step.Trigger.After;
import io.migrationd.it.fault.Step.Trigger.At;
import io.migrationd.it.fault.Step.Trigger.Bytes;
import io.migrationd.it.matrix.RoundPlan.Hands;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** A random schedule from a seed: what happens, where and when. The same seed gives the same plan. */
public final class ChaosPlan {
    private static final int MAX_FAULTS = 4;
    private static final int MAX_HEAL_MILLIS = 1_500;
    private static final int KILLS_ONE_IN = 20;
    /** A little more than what a round sends. */
    private static final int MAX_FORWARD_BYTES = 20 << 20;

    private static final int MAX_REVERSE_BYTES = 8_000;
    private static final int MAX_DELAY_MILLIS = 400;

    private final SplittableRandom random;
    private final boolean preempt;

    private ChaosPlan(long seed) {
        random = new SplittableRandom(seed);
        preempt = random.nextInt(3) == 0;
    }

    /** The seed of round {@code round} of a run with seed {@code seed}. */
    public static long seedOf(long seed, int round) {
        return new SplittableRandom(seed ^ (round * 0x9E37_79B9_7F4A_7C15L)).nextLong() & Long.MAX_VALUE;
    }

    /** The plan of one round. */
    public static RoundPlan of(String name, long roundSeed) {
        return new ChaosPlan(roundSeed).plan(name);
    }

    private RoundPlan plan(String name) {
        boolean slow = random.nextBoolean();
        boolean kills = random.nextInt(KILLS_ONE_IN) == 0;
        long scriptSeed = random.nextLong();
        return new RoundPlan(
                name,
                preempt,
                slow,
                hands -> new Script(new SplittableRandom(scriptSeed), preempt, hands).steps(kills),
                Ending.EITHER,
                false,
                kills);
    }

    /** Draws steps. */
    private record Script(SplittableRandom random, boolean preempt, Hands hands) {
        List<Step> steps(boolean kills) {
            int faults = 1 + (random.nextBoolean() ? 0 : random.nextInt(MAX_FAULTS));
            int killed = kills ? random.nextInt(faults) : -1;
            List<Step> steps = new ArrayList<>();
            for (int i = 0; i < faults; i++) {
                steps.add(new Step(trigger(i == 0), i == killed ? kill() : fault()));
            }
            return steps;
        }

        private Trigger trigger(boolean first) {
            return switch (random.nextInt(first ? 8 : 12)) {
                case 0 -> new Bytes(Direction.FORWARD, 1 + random.nextInt(MAX_FORWARD_BYTES));
                case 1 -> new Bytes(Direction.REVERSE, 1 + random.nextInt(MAX_REVERSE_BYTES));
                case 2 -> new After(Duration.ofMillis(random.nextInt(MAX_DELAY_MILLIS)));
                case 3, 4, 5, 6, 7 -> new At(place(first), 1);
                case 8 -> new Bytes(Direction.FORWARD, 1 + random.nextInt(10_000));
                case 9 -> new Bytes(Direction.REVERSE, 1 + random.nextInt(600));
                default -> new After(Duration.ofMillis(random.nextInt(50)));
            };
        }

        private Place place(boolean first) {
            Place place = pick(List.of(Place.values()));
            boolean later = place.compareTo(Place.RECV_BITMAP) >= 0 && place.compareTo(Place.RESUMED_PAGE) <= 0;
            boolean urgent = place.name().startsWith("PREEMPT");
            // A place that cannot come would end the schedule.
            return (first && later) || (urgent && !preempt) ? Place.MIDDLE_PAGE : place;
        }

        private Action fault() {
            Cut cut = pick(List.of(Cut.values()));
            Scope scope = preempt ? pick(List.of(Scope.values())) : Scope.ALL;
            Newcomers newcomers = pick(List.of(Newcomers.values()));
            boolean lasts = cut.name().startsWith("SILENCE") || random.nextInt(3) == 0;
            // Most breaks are short: it is their order that matters.
            int heal = lasts ? 1 + random.nextInt(random.nextInt(4) == 0 ? MAX_HEAL_MILLIS : MAX_HEAL_MILLIS / 5) : 0;
            return new Break(cut, scope, Duration.ofMillis(heal), newcomers);
        }

        private <T> T pick(List<T> values) {
            return values.get(random.nextInt(values.size()));
        }

        private Action kill() {
            return switch (random.nextInt(3)) {
                case 0 -> new Run("kill -9 source", hands::killSource);
                case 1 -> new Run("kill -9 destination", hands::killDestination);
                default ->
                    new Run("kill -9 both", () -> {
                        hands.killSource();
                        hands.killDestination();
                    });
            };
        }
    }
}
