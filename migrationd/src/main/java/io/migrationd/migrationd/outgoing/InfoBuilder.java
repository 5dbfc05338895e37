package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.postcopy.memory.RamBlock;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Makes the shown picture of an outgoing migration from its counters. */
final class InfoBuilder {
    private static final long NANOS_PER_MILLI = 1_000_000;

    private InfoBuilder() {}

    static MigrationInfo build(
            OutgoingRequest request,
            Guest guest,
            OutgoingStatus status,
            @Nullable String error,
            long bytesSent,
            RamCounters counters,
            double bytesPerSecond,
            Timeline timeline) {
        boolean completed = status == OutgoingStatus.COMPLETED;
        long remaining = completed ? 0 : counters.remainingBytes.get();
        Long expectedDowntime =
                bytesPerSecond > 0 && !status.isTerminal() ? (long) (remaining * 1000 / bytesPerSecond) : null;
        return new MigrationInfo(
                status.qmpName(),
                timeline.totalNanos() / NANOS_PER_MILLI,
                timeline.setupNanos() < 0 ? null : Long.valueOf(timeline.setupNanos() / NANOS_PER_MILLI),
                completed && timeline.downtimeNanos() >= 0
                        ? Long.valueOf(timeline.downtimeNanos() / NANOS_PER_MILLI)
                        : null,
                expectedDowntime,
                completed ? timeline.split() : null,
                ram(guest, bytesSent, remaining, counters, bytesPerSecond, timeline),
                request.has(Capability.XBZRLE) ? xbzrle(request, counters, guest.targetPageSizeBytes()) : null,
                null,
                error,
                List.of(),
                List.of());
    }

    private static MigrationInfo.RamCounters ram(
            Guest guest,
            long bytesSent,
            long remaining,
            RamCounters counters,
            double bytesPerSecond,
            Timeline timeline) {
        int page = guest.targetPageSizeBytes();
        long before = timeline.isDowntime() ? timeline.bytesBeforeDowntime() : bytesSent;
        return new MigrationInfo.RamCounters(
                bytesSent,
                remaining,
                guest.ram().stream().mapToLong(RamBlock::lengthBytes).sum(),
                counters.zeroPages.get(),
                counters.normalPages.get(),
                counters.normalPages.get() * page,
                counters.dirtyPagesRate.get(),
                bytesPerSecond * 8 / 1e6,
                counters.dirtySyncs.get(),
                0,
                page,
                (long) (bytesPerSecond / page),
                before,
                bytesSent - before);
    }

    private static XbzrleCounters xbzrle(OutgoingRequest request, RamCounters counters, int page) {
        long pages = counters.xbzrlePages.get();
        long bytes = counters.xbzrleBytes.get();
        long misses = counters.xbzrleCacheMisses.get();
        long looks = pages + misses + counters.xbzrleOverflows.get();
        return new XbzrleCounters(
                request.parameters().get().xbzrleCacheSize(),
                bytes,
                pages,
                misses,
                looks == 0 ? 0 : (double) misses / looks,
                bytes == 0 ? 0 : (double) pages * page / bytes,
                counters.xbzrleOverflows.get());
    }
}
