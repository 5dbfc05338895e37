package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.postcopy.memory.RamBlock;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Makes the shown picture of an outgoing migration from its counters. */
final class InfoBuilder {
    private static final long NANOS_PER_MILLI = 1_000_000;

    private InfoBuilder() {}

    static MigrationInfo build(OutgoingParts parts, @Nullable PostcopyInfo postcopy) {
        OutgoingRequest request = parts.request();
        Guest guest = request.guest();
        RamCounters counters = parts.counters();
        Timeline timeline = parts.timeline();
        double bytesPerSecond = parts.bandwidth().bytesPerSecond();
        OutgoingStatus status = parts.state().status();
        boolean completed = status == OutgoingStatus.COMPLETED;
        long remaining = completed ? 0 : counters.remainingBytes.get();
        // In postcopy the guest is back at work before all is sent.
        boolean downtimeOver = completed || status.isPostcopy();
        Long expectedDowntime = bytesPerSecond > 0 && !status.isTerminal() && !downtimeOver
                ? (long) (remaining * 1000 / bytesPerSecond)
                : null;
        return new MigrationInfo(
                status.qmpName(),
                timeline.totalNanos() / NANOS_PER_MILLI,
                timeline.setupNanos() < 0 ? null : Long.valueOf(timeline.setupNanos() / NANOS_PER_MILLI),
                downtimeOver && timeline.downtimeNanos() >= 0
                        ? Long.valueOf(timeline.downtimeNanos() / NANOS_PER_MILLI)
                        : null,
                expectedDowntime,
                downtimeOver ? timeline.split() : null,
                ram(parts, remaining, postcopy == null ? 0 : postcopy.requests()),
                request.has(Capability.XBZRLE) ? xbzrle(request, counters, guest.targetPageSizeBytes()) : null,
                postcopy,
                parts.state().error(),
                List.of(),
                List.of());
    }

    private static MigrationInfo.RamCounters ram(OutgoingParts parts, long remaining, long postcopyRequests) {
        Guest guest = parts.request().guest();
        RamCounters counters = parts.counters();
        Timeline timeline = parts.timeline();
        double bytesPerSecond = parts.bandwidth().bytesPerSecond();
        int page = guest.targetPageSizeBytes();
        long bytesSent = parts.state().bytesSent();
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
                postcopyRequests,
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
