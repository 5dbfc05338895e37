package io.migrationd.migrationd.report;

import io.migrationd.migrationd.report.MoveReport.Downtime;
import io.migrationd.migrationd.report.MoveReport.Postcopy;
import io.migrationd.migrationd.report.MoveReport.Recovery;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyInfo;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Reports of migrations that the daemon's own engine has done. */
public final class MigrationReports {
    private MigrationReports() {}

    /**
     * The report of what {@code info} shows at the end. It has counters but no timeline of its own.
     *
     * @param startMillis wall clock of the start
     */
    public static MoveReport of(
            MigrationInfo info,
            String id,
            String guest,
            @Nullable String uuid,
            @Nullable String source,
            @Nullable String destination,
            long startMillis) {
        PostcopyInfo postcopy = info.postcopy();
        MigrationInfo.RamCounters ram = info.ram();
        Map<String, Long> channels = ram == null ? Map.of() : Map.of("ram", ram.transferred());
        return new MoveReport(
                id,
                guest,
                uuid,
                postcopy == null ? "precopy" : "postcopy",
                source,
                destination,
                outcome(info.status()),
                info.errorDesc(),
                startMillis,
                info.totalTimeMillis(),
                downtime(info),
                null,
                List.of(),
                List.of(),
                channels,
                List.of(),
                postcopy == null
                        ? List.of()
                        : postcopy.recoveries().stream()
                                .map(MigrationReports::recovery)
                                .toList(),
                List.of(),
                postcopy == null ? null : postcopy(postcopy),
                null);
    }

    private static String outcome(@Nullable String status) {
        return switch (status) {
            case null -> "none";
            case "completed" -> "moved";
            default -> status;
        };
    }

    private static @Nullable Downtime downtime(MigrationInfo info) {
        MigrationInfo.DowntimeSplit split = info.downtime();
        Long total = info.downtimeMillis();
        if (split == null && total == null) {
            return null;
        }
        Double totalMillis = total == null ? null : total.doubleValue();
        return split == null
                ? new Downtime(totalMillis, null, null, null, null, null, null, null, null)
                : new Downtime(
                        totalMillis,
                        millis(split.stopMicros()),
                        millis(split.switchoverGateMicros()),
                        millis(split.lastPassMicros()),
                        millis(split.deviceStateMicros()),
                        null,
                        null,
                        null,
                        millis(split.acknowledgeMicros()));
    }

    private static Recovery recovery(PostcopyInfo.Recovery episode) {
        return new Recovery(
                episode.cause(),
                millis(episode.detectMicros()),
                millis(episode.reconnectMicros()),
                millis(episode.resyncMicros()),
                millis(episode.firstPageMicros()),
                episode.attempts());
    }

    private static Postcopy postcopy(PostcopyInfo info) {
        PostcopyInfo.Latency faults = info.faults();
        Map<String, Long> threads = new TreeMap<>();
        info.threadBlocktimeMillis().forEach((thread, millis) -> threads.put(thread.toString(), millis));
        return new Postcopy(
                info.requests(),
                info.urgentPages(),
                info.nearPages(),
                info.backgroundPages(),
                info.blocktimeMillis(),
                threads.isEmpty() ? null : threads,
                faults == null ? null : faults.count(),
                faults == null ? null : millis(faults.meanMicros()),
                faults == null ? null : millis(faults.p50Micros()),
                faults == null ? null : millis(faults.p99Micros()),
                faults == null ? null : millis(faults.maxMicros()),
                faults == null ? null : faults.buckets());
    }

    private static @Nullable Double millis(@Nullable Long micros) {
        return micros == null ? null : micros / 1000.0;
    }
}
