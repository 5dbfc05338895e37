package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.move.policy.ConvergencePolicy;
import io.migrationd.migrationd.move.policy.Decision;
import io.migrationd.migrationd.move.policy.Look;
import io.migrationd.migrationd.move.policy.MoveLimits;
import io.migrationd.migrationd.move.policy.PostcopyRule;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Joins the convergence policy to QEMU's words and parameters. For the thread of one move, but for {@link #last}. */
final class SourcePolicy {
    /** Parameters of QEMU that a policy may change in a move. */
    static final Set<String> PARAMETERS = Set.of("downtime-limit", "cpu-throttle-initial", "max-cpu-throttle");

    private static final int DOWNTIME_STEPS = 5;
    private static final int STALL_PASSES = 3;
    private static final int STALL_PERCENT = 10;
    private static final Duration SHAKY = Duration.ofSeconds(5);
    private static final long THROTTLE_INITIAL_PERCENT = 20;
    private static final long THROTTLE_MOST_PERCENT = 99;
    /** Of {@code dirty-sync-count}: the first pass is over when the second has begun. */
    private static final long SECOND_PASS = 2;

    private final MoveSettings settings;
    private final ConvergencePolicy policy;
    private volatile Optional<String> last = Optional.empty();
    private boolean postcopyAsked;

    SourcePolicy(MoveSettings settings) {
        this.settings = settings;
        PostcopyRule rule = settings.mayUsePostcopy() ? PostcopyRule.WHEN_NEEDED : PostcopyRule.NEVER;
        this.policy = new ConvergencePolicy(
                new MoveLimits(
                        settings.timeBudgetMillis(),
                        settings.downtimeLimitMillis(),
                        settings.maxDowntimeMillis(),
                        DOWNTIME_STEPS,
                        rule,
                        settings.autoConverge(),
                        STALL_PASSES,
                        STALL_PERCENT),
                nowMillis());
    }

    /** What is to be done. */
    sealed interface Order {
        /** Why, for people. */
        String reason();

        /** Migration parameters of QEMU, in flight. */
        record SetParameters(Map<String, Object> parameters, String reason) implements Order {}

        /** End precopy now. */
        record SwitchOver(String reason) implements Order {}

        record StartPostcopy(String reason) implements Order {}

        record Cancel(String reason) implements Order {}
    }

    private static long nowMillis() {
        return TimeUnit.NANOSECONDS.toMillis(System.nanoTime());
    }

    List<Order> look(QemuMigration migration, @Nullable LinkHealth link) {
        if (migration.ram().isEmpty() || postcopyAsked) {
            return List.of();
        }
        QemuMigration.Ram ram = migration.ram().get();
        boolean up = link != null && link.up();
        if (up && settings.postcopy() == PostcopyUse.AFTER_FIRST_PASS && ram.dirtySyncCount() >= SECOND_PASS) {
            return said(new Order.StartPostcopy("every page was sent once, and that is when it was to start"));
        }
        Decision decision = policy.look(new Look(
                nowMillis(),
                migration.statusText(),
                ram.remainingBytes(),
                ram.totalBytes(),
                ram.dirtySyncCount(),
                ram.dirtyPagesRate(),
                (int) ram.pageSizeBytes(),
                ram.mbps(),
                migration.expectedDowntimeMillis().orElse(0),
                (int) migration.cpuThrottlePercent().orElse(0),
                health(link),
                link == null ? 0 : link.deliveredBytesPerSecond()));
        return switch (decision) {
            case Decision.Wait _ -> List.of();
            case Decision.RaiseDowntime(long millis, String reason) ->
                said(new Order.SetParameters(
                        Map.of("downtime-limit", millis), "downtime limit to %d ms: %s".formatted(millis, reason)));
            case Decision.SwitchNow(long millis, String reason) ->
                said(new Order.SetParameters(
                        Map.of("downtime-limit", millis), "switch over within %d ms: %s".formatted(millis, reason)));
            case Decision.ThrottleOn(String reason) ->
                said(new Order.SetParameters(
                        Map.of(
                                "cpu-throttle-initial",
                                THROTTLE_INITIAL_PERCENT,
                                "max-cpu-throttle",
                                THROTTLE_MOST_PERCENT),
                        "the guest is slowed down: " + reason));
            case Decision.ThrottleOff(String reason) ->
                said(new Order.SetParameters(
                        Map.of("max-cpu-throttle", MoveSettings.THROTTLE_OFF_PERCENT),
                        "the guest is slowed down no more: " + reason));
            case Decision.StartPostcopy(String reason) -> said(new Order.StartPostcopy(reason));
            case Decision.Cancel(String reason) -> said(new Order.Cancel(reason));
        };
    }

    private List<Order> said(Order order) {
        postcopyAsked = order instanceof Order.StartPostcopy;
        last = Optional.of(order.reason());
        return List.of(order);
    }

    private static io.migrationd.migrationd.move.policy.LinkHealth health(@Nullable LinkHealth link) {
        if (link == null || !link.up()) {
            return io.migrationd.migrationd.move.policy.LinkHealth.DOWN;
        }
        boolean shaky = link.outageCount() > 0
                && Duration.between(link.since(), Instant.now()).compareTo(SHAKY) < 0;
        return shaky
                ? io.migrationd.migrationd.move.policy.LinkHealth.SHAKY
                : io.migrationd.migrationd.move.policy.LinkHealth.UP;
    }

    /** A downtime limit with which QEMU switches over at its next look. */
    long downtimeThatSwitches() {
        return settings.maxDowntimeMillis();
    }

    /** The last decision, in words. */
    Optional<String> last() {
        return last;
    }
}
