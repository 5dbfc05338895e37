package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.MoveOperations.MoveWish;
import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.peer.MoveOrder;
import java.util.Objects;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * How a move is to be made: what was asked for, over what the guest's definition says.
 *
 * @param multifdChannels 0 is off
 * @param downtimeLimitMillis how long the guest may stand still, at first
 * @param maxDowntimeMillis how far the policy may raise that
 * @param timeBudgetMillis how long precopy may take, 0 for ever
 * @param maxBandwidth bytes per second, 0 is unlimited
 * @param maxPostcopyBandwidth bytes per second of background pages, 0 is unlimited
 * @param keepSource whether the stopped QEMU stays when the guest has arrived
 * @param retries how often a move that failed with the guest at the source is tried again
 */
public record MoveSettings(
        PostcopyUse postcopy,
        boolean preempt,
        int multifdChannels,
        boolean xbzrle,
        boolean autoConverge,
        long downtimeLimitMillis,
        long maxDowntimeMillis,
        long timeBudgetMillis,
        long maxBandwidth,
        long maxPostcopyBandwidth,
        boolean keepSource,
        int retries) {
    /** QEMU's own default of 128 MiB/s is not what anybody means by unlimited. */
    private static final long UNLIMITED_BANDWIDTH = 1L << 40;

    /** QEMU throttles a guest by no more than this while the policy has not asked for it. */
    static final long THROTTLE_OFF_PERCENT = 1;

    /**
     * What was asked for, over what the definition says.
     *
     * @throws CommandException if the whole makes no sense
     */
    static MoveSettings of(MoveWish wish, MoveSettings defaults) throws CommandException {
        long downtime = or(wish.downtimeLimitMillis(), defaults.downtimeLimitMillis());
        // A limit that was asked for is not raised beyond what was asked for, unless that was said as well.
        long mostDowntime = wish.maxDowntimeMillis() != null
                ? wish.maxDowntimeMillis()
                : Math.max(downtime, defaults.maxDowntimeMillis());
        if (downtime < 1 || mostDowntime < downtime) {
            throw new CommandException(
                    "downtime-limit %d ms and max-downtime %d ms: 1 and more, and the second not less than the first"
                            .formatted(downtime, mostDowntime));
        }
        boolean preempt = or(wish.preempt(), defaults.preempt());
        var postcopy = Optional.ofNullable(wish.postcopy()).orElse(defaults.postcopy());
        return new MoveSettings(
                postcopy,
                preempt,
                or(wish.multifdChannels(), defaults.multifdChannels()),
                or(wish.xbzrle(), defaults.xbzrle()),
                or(wish.autoConverge(), defaults.autoConverge()),
                downtime,
                mostDowntime,
                or(wish.timeBudgetMillis(), defaults.timeBudgetMillis()),
                or(wish.maxBandwidth(), defaults.maxBandwidth()),
                or(wish.maxPostcopyBandwidth(), defaults.maxPostcopyBandwidth()),
                or(wish.keepSource(), defaults.keepSource()),
                or(wish.retries(), defaults.retries()));
    }

    private static <T> T or(@Nullable T wished, T fallback) {
        return Objects.requireNonNullElse(wished, fallback);
    }

    boolean mayUsePostcopy() {
        return postcopy != PostcopyUse.NEVER;
    }

    /** What both QEMUs are set to. */
    MoveOrder order(String guest, UUID uuid, String sourceHost) {
        SortedMap<String, Boolean> capabilities = new TreeMap<>();
        capabilities.put("postcopy-ram", mayUsePostcopy());
        capabilities.put("postcopy-preempt", mayUsePostcopy() && preempt);
        capabilities.put("multifd", multifdChannels > 0);
        capabilities.put("xbzrle", xbzrle);
        capabilities.put("auto-converge", autoConverge);
        // Disks stay the source's until cont: 7.2 takes their locks early without it.
        capabilities.put("late-block-activate", true);
        SortedMap<String, Long> parameters = new TreeMap<>();
        parameters.put("downtime-limit", downtimeLimitMillis);
        parameters.put("max-bandwidth", maxBandwidth == 0 ? UNLIMITED_BANDWIDTH : maxBandwidth);
        parameters.put("max-postcopy-bandwidth", maxPostcopyBandwidth);
        if (multifdChannels > 0) {
            parameters.put("multifd-channels", (long) multifdChannels);
        }
        if (autoConverge) {
            parameters.put("cpu-throttle-initial", THROTTLE_OFF_PERCENT);
            parameters.put("max-cpu-throttle", THROTTLE_OFF_PERCENT);
        }
        return new MoveOrder(
                guest, uuid, sourceHost, mayUsePostcopy(), preempt, multifdChannels, capabilities, parameters);
    }
}
