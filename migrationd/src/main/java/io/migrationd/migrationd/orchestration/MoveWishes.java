package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.MoveOperations.MoveWish;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What was asked for, over what the definition says. */
final class MoveWishes {
    private MoveWishes() {}

    /** @throws CommandException if the whole makes no sense */
    static MoveSettings settings(MoveWish wish, MoveSettings defaults) throws CommandException {
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
}
