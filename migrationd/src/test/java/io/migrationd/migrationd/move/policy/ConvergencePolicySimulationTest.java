package io.migrationd.migrationd.move.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A source like QEMU's: passes, dirty log, downtime limit, auto-converge; one look every 100 ms. */
@DisplayName("Convergence policy against a model of QEMU")
class ConvergencePolicySimulationTest {
    private static final double MIB = 1 << 20;
    private static final long STEP_MILLIS = 100;

    private enum End {
        SWITCHED,
        POSTCOPY,
        CANCELLED,
        NONE
    }

    /** The model. Sizes in bytes, rates in bytes per second. */
    private static final class Model {
        final Random random;
        final double total;
        final double bandwidth;
        final double dirtyRate;
        final double workingSet;
        final double outageShare;
        final MoveLimits limits;
        final List<Decision> decisions = new ArrayList<>();
        double dirtySinceSync;
        double remaining;
        long limitMillis;
        int throttle;
        boolean throttling;
        boolean linkUp = true;
        long now;
        long downSince;
        long downtime;
        long passes = 1;

        Model(long seed, MoveLimits limits, double dirtyShare, double outageShare) {
            this.random = new Random(seed);
            this.limits = limits;
            this.total = (256 + random.nextInt(4096)) * MIB;
            this.bandwidth = (50 + random.nextInt(1000)) * MIB;
            this.dirtyRate = bandwidth * dirtyShare;
            this.workingSet = total * (0.3 + 0.6 * random.nextDouble());
            this.outageShare = outageShare;
            this.remaining = total;
            this.limitMillis = limits.downtimeStartMillis();
        }

        End run(long mostMillis) {
            ConvergencePolicy policy = new ConvergencePolicy(limits, 0);
            while (now < mostMillis) {
                now += STEP_MILLIS;
                linkFlaps();
                dirty();
                if (linkUp && send()) {
                    return End.SWITCHED;
                }
                Decision decision = policy.look(new Look(
                        now,
                        "active",
                        (long) remaining,
                        (long) total,
                        passes,
                        (long) (dirtyRate * (100 - throttle) / 100 / 4096),
                        4096,
                        bandwidth * 8 / 1e6,
                        0,
                        throttle,
                        linkUp ? LinkHealth.UP : LinkHealth.DOWN,
                        (long) bandwidth));
                if (!(decision instanceof Decision.Wait)) {
                    decisions.add(decision);
                }
                End end = obey(decision);
                if (end != End.NONE) {
                    return end;
                }
                if (!linkUp && throttling) {
                    assertTrue(now - downSince < STEP_MILLIS, "throttled with the link down");
                }
            }
            return End.NONE;
        }

        private void linkFlaps() {
            if (outageShare == 0) {
                return;
            }
            boolean was = linkUp;
            linkUp = linkUp ? random.nextDouble() > outageShare / 20 : random.nextDouble() < 0.05;
            if (was && !linkUp) {
                downSince = now;
            }
        }

        private void dirty() {
            double jitter = 0.8 + 0.4 * random.nextDouble();
            double fresh = dirtyRate * jitter * (100 - throttle) / 100 * STEP_MILLIS / 1000;
            // A page that is dirty already is not dirtied again.
            dirtySinceSync += fresh * Math.max(0, 1 - dirtySinceSync / workingSet);
        }

        /** True if QEMU switches over. */
        private boolean send() {
            remaining -= bandwidth * STEP_MILLIS / 1000;
            if (remaining > 0) {
                return false;
            }
            remaining = dirtySinceSync;
            dirtySinceSync = 0;
            passes++;
            if (throttling) {
                throttle = Math.min(99, throttle == 0 ? 20 : throttle + 10);
            }
            downtime = (long) (remaining * 1000 / bandwidth);
            return downtime <= limitMillis;
        }

        private End obey(Decision decision) {
            switch (decision) {
                case Decision.RaiseDowntime(long to, var _) -> limitMillis = to;
                case Decision.SwitchNow(long to, var _) -> limitMillis = to;
                case Decision.ThrottleOn _ -> throttling = true;
                case Decision.ThrottleOff _ -> {
                    throttling = false;
                    throttle = 0;
                }
                case Decision.StartPostcopy _ -> {
                    assertTrue(linkUp, "postcopy with the link down");
                    return End.POSTCOPY;
                }
                case Decision.Cancel _ -> {
                    assertTrue(linkUp, "cancelled with the link down");
                    return End.CANCELLED;
                }
                case Decision.Wait _ -> {
                    // Nothing.
                }
            }
            assertTrue(limitMillis <= limits.downtimeMaxMillis(), "downtime limit " + limitMillis);
            return End.NONE;
        }

        boolean decided(Class<? extends Decision> kind) {
            return decisions.stream().anyMatch(kind::isInstance);
        }
    }

    private static MoveLimits limits(long budget, PostcopyRule postcopy, boolean throttle) {
        return new MoveLimits(budget, 300, 1500, 4, postcopy, throttle, 3, 10);
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4})
    void aGuestThatConvergesIsLeftAlone(long seed) {
        for (int i = 0; i < 250; i++) {
            double share = 0.01 + 0.005 * (i % 100);
            Model model = new Model(seed * 1000 + i, limits(600_000, PostcopyRule.WHEN_NEEDED, true), share, 0);
            assertEquals(End.SWITCHED, model.run(1_200_000), () -> "share " + share + " " + model.decisions);
            assertFalse(model.decided(Decision.ThrottleOn.class), () -> "share " + share + " " + model.decisions);
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4})
    void aBusyGuestGoesToPostcopyWithinItsBudget(long seed) {
        for (int i = 0; i < 250; i++) {
            Model model = new Model(seed * 1000 + i, limits(300_000, PostcopyRule.WHEN_NEEDED, false), 3, 0);
            End end = model.run(1_200_000);
            // A small guest's whole working set may fit the downtime that is allowed.
            assertTrue(
                    end == End.POSTCOPY || (end == End.SWITCHED && model.downtime <= 1500), model.decisions::toString);
            assertTrue(model.now <= 330_000, model.now + " ms");
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4})
    void aBusyGuestIsCancelledAtTheBudget(long seed) {
        int cancelled = 0;
        for (int i = 0; i < 250; i++) {
            Model model = new Model(seed * 1000 + i, limits(120_000, PostcopyRule.NEVER, false), 3, 0);
            End end = model.run(1_200_000);
            assertNotEquals(End.POSTCOPY, end);
            assertNotEquals(End.NONE, end);
            cancelled += end == End.CANCELLED ? 1 : 0;
            if (end == End.CANCELLED) {
                assertTrue(model.now >= 120_000 && model.now <= 132_200, model.now + " ms " + model.decisions);
            }
        }
        System.out.println("sim: busy, no postcopy: " + cancelled + " of 250 cancelled at the budget");
        assertTrue(cancelled > 100);
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3, 4})
    void whateverTheLinkDoes(long seed) {
        Map<End, Integer> ends = new EnumMap<>(End.class);
        for (int i = 0; i < 250; i++) {
            double share = new Random(i).nextDouble() * 2;
            PostcopyRule rule = i % 3 == 0
                    ? PostcopyRule.NEVER
                    : i % 3 == 1 ? PostcopyRule.WHEN_NEEDED : PostcopyRule.after(90_000);
            Model model = new Model(seed * 1000 + i, limits(180_000, rule, true), share, 0.2);
            End end = model.run(2_400_000);
            assertNotEquals(End.NONE, end, model.decisions::toString);
            long throttles = model.decisions.stream()
                    .filter(Decision.ThrottleOn.class::isInstance)
                    .count();
            assertTrue(throttles <= 3, model.decisions::toString);
            ends.merge(end, 1, Integer::sum);
        }
        System.out.println("sim: flapping link: " + ends);
    }
}
