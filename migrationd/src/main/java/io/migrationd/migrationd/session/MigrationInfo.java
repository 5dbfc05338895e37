package io.migrationd.migrationd.session;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One look at a migration, as {@code query-migrate} shows it. What is {@code null} is not shown. Times are
 * milliseconds, sizes bytes, rates bytes per second unless the name says otherwise.
 *
 * @param status QEMU's status name, {@code null} when nothing ever happened
 * @param expectedDowntimeMillis while it runs; {@code downtimeMillis} when it is done
 * @param downtime what the downtime was made of, source only
 * @param errorDesc the first failure, with what, where, expected and got
 * @param socketAddresses where an incoming migration listens, as migration URIs with the real port
 */
public record MigrationInfo(
        @Nullable String status,
        @Nullable Long totalTimeMillis,
        @Nullable Long setupTimeMillis,
        @Nullable Long downtimeMillis,
        @Nullable Long expectedDowntimeMillis,
        @Nullable DowntimeSplit downtime,
        @Nullable RamCounters ram,
        @Nullable XbzrleCounters xbzrle,
        @Nullable PostcopyInfo postcopy,
        @Nullable String errorDesc,
        List<String> blockedReasons,
        List<String> socketAddresses) {
    /** Nothing ever happened. */
    public static final MigrationInfo NONE =
            new MigrationInfo(null, null, null, null, null, null, null, null, null, null, List.of(), List.of());

    /**
     * Microseconds of each step between the stop and the last word of the destination.
     *
     * @param switchoverGateMicros time spent waiting for migrate-continue, 0 without the gate
     * @param acknowledgeMicros from our last byte to the destination's SHUT: its load and its start of the guest
     */
    public record DowntimeSplit(
            long stopMicros,
            long switchoverGateMicros,
            long lastPassMicros,
            long deviceStateMicros,
            long acknowledgeMicros) {}

    /**
     * QEMU's {@code ram} object.
     *
     * @param duplicatePages pages sent as zero pages (QEMU's name for the count is {@code duplicate})
     * @param dirtyPagesRate pages per second dirtied during the last pass
     * @param mbps megabits per second over the last period
     * @param dirtySyncCount passes over the dirty log
     */
    public record RamCounters(
            long transferred,
            long remaining,
            long total,
            long duplicatePages,
            long normalPages,
            long normalBytes,
            long dirtyPagesRate,
            double mbps,
            long dirtySyncCount,
            long postcopyRequests,
            int pageSize,
            long pagesPerSecond,
            long precopyBytes,
            long downtimeBytes) {}

    /** QEMU's {@code xbzrle-cache} object. */
    public record XbzrleCounters(
            long cacheSize,
            long bytes,
            long pages,
            long cacheMiss,
            double cacheMissRate,
            double encodingRate,
            long overflow) {}
}
