package io.migrationd.migrationd.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.StringJoiner;
import org.jspecify.annotations.Nullable;

/** A report for people: lines in columns, durations in milliseconds. */
public final class ReportText {
    private ReportText() {}

    /** The lines of {@code report}, without line ends. */
    public static List<String> lines(MoveReport report) {
        List<String> lines = new ArrayList<>();
        fact(lines, "move", report.id());
        fact(lines, "guest", report.guest() + (report.uuid() == null ? "" : " (" + report.uuid() + ")"));
        fact(lines, "mode", report.mode());
        if (report.source() != null || report.destination() != null) {
            fact(lines, "from, to", "%s -> %s".formatted(known(report.source()), known(report.destination())));
        }
        fact(lines, "outcome", report.outcome());
        fact(lines, "error", report.error());
        fact(lines, "total", millis(report.totalMillis()));
        downtime(lines, report.downtime());
        report.channelBytes().forEach((channel, bytes) -> fact(lines, "bytes " + channel, bytes));
        postcopy(lines, report.postcopy());
        if (report.tap() != null) {
            fact(
                    lines,
                    "stream parsed",
                    report.tap().state() + suffix(report.tap().reason()));
        }
        fact(
                lines,
                "other clock",
                report.clockOffsetMillis() == null ? null : report.clockOffsetMillis() + " ms ahead");
        section(lines, "passes", report.passes().stream().map(ReportText::pass).toList());
        section(
                lines,
                "decisions",
                report.decisions().stream()
                        .map(it -> "%10d ms  %-14s %s".formatted(it.offsetMillis(), it.decision(), clean(it.cause())))
                        .toList());
        section(
                lines,
                "link outages",
                report.outages().stream()
                        .map(it -> "%10d ms  %s"
                                .formatted(
                                        it.offsetMillis(), it.millis() == null ? "never ended" : it.millis() + " ms"))
                        .toList());
        section(
                lines,
                "recoveries",
                report.recoveries().stream().map(ReportText::recovery).toList());
        int hosts = report.timeline().stream()
                .mapToInt(it -> clean(it.host()).length())
                .max()
                .orElse(0);
        section(
                lines,
                "timeline",
                report.timeline().stream()
                        .map(it -> "%10d ms  %s  %s%s"
                                .formatted(
                                        it.offsetMillis(),
                                        pad(clean(it.host()), hosts),
                                        clean(it.event()),
                                        suffix(it.detail())))
                        .toList());
        return lines;
    }

    private static String pass(MoveReport.Pass pass) {
        return "%4d  %10d pages  %10d zero  %14d bytes  %10s  %s"
                .formatted(
                        pass.number(),
                        pass.pages(),
                        pass.zeroPages(),
                        pass.bytes(),
                        pass.millis() == null ? "-" : pass.millis() + " ms",
                        pass.dirtyPagesPerSecond() == null ? "" : pass.dirtyPagesPerSecond() + " dirty pages/s")
                .stripTrailing();
    }

    private static String recovery(MoveReport.Recovery it) {
        StringJoiner parts = new StringJoiner(", ");
        part(parts, "detect", it.detectMillis());
        part(parts, "reconnect", it.reconnectMillis());
        part(parts, "resync", it.resyncMillis());
        part(parts, "first page", it.firstPageMillis());
        return clean(it.cause()) + ": " + parts;
    }

    private static void downtime(List<String> lines, MoveReport.@Nullable Downtime it) {
        if (it == null) {
            return;
        }
        fact(lines, "downtime", millis(it.totalMillis()));
        fact(lines, "  stop", millis(it.stopMillis()));
        fact(lines, "  gate", millis(it.gateMillis()));
        fact(lines, "  last pass", millis(it.lastPassMillis()));
        fact(lines, "  device state", millis(it.deviceStateMillis()));
        fact(lines, "  wire", millis(it.wireMillis()));
        fact(lines, "  load", millis(it.loadMillis()));
        fact(lines, "  run", millis(it.runMillis()));
        fact(lines, "  acknowledge", millis(it.acknowledgeMillis()));
    }

    private static void postcopy(List<String> lines, MoveReport.@Nullable Postcopy it) {
        if (it == null) {
            return;
        }
        fact(lines, "page requests", it.requests());
        fact(lines, "urgent pages", it.urgentPages());
        fact(lines, "near pages", it.nearPages());
        fact(lines, "background", it.backgroundPages());
        fact(lines, "blocktime", millis(it.blocktimeMillis()));
        if (it.threadBlocktimeMillis() != null) {
            it.threadBlocktimeMillis().forEach((thread, millis) -> fact(lines, "  thread " + thread, millis(millis)));
        }
        fact(lines, "faults", it.faults());
        fact(lines, "  mean", millis(it.faultMeanMillis()));
        fact(lines, "  p50", millis(it.faultP50Millis()));
        fact(lines, "  p99", millis(it.faultP99Millis()));
        fact(lines, "  max", millis(it.faultMaxMillis()));
        List<Long> buckets = it.faultBuckets() == null ? List.of() : it.faultBuckets();
        for (int i = 0; i < buckets.size(); i++) {
            if (buckets.get(i) > 0) {
                fact(lines, "  from %s ms".formatted(number((1L << Math.min(i, 62)) / 1000.0)), buckets.get(i));
            }
        }
    }

    private static void fact(List<String> lines, String name, @Nullable Object value) {
        if (value != null) {
            lines.add("%-16s %s".formatted(name, clean(value.toString())));
        }
    }

    private static void section(List<String> lines, String title, List<String> entries) {
        if (!entries.isEmpty()) {
            lines.add(title + ":");
            entries.forEach(entry -> lines.add("  " + entry));
        }
    }

    private static void part(StringJoiner parts, String name, @Nullable Double millis) {
        if (millis != null) {
            parts.add(name + " " + millis(millis));
        }
    }

    private static @Nullable String millis(@Nullable Number millis) {
        return millis == null
                ? null
                : (millis instanceof Double ? number(millis.doubleValue()) : millis.toString()) + " ms";
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, "%.3f", value);
    }

    private static String suffix(@Nullable String detail) {
        return detail == null ? "" : ": " + clean(detail);
    }

    private static String known(@Nullable String host) {
        return host == null ? "?" : host;
    }

    private static String pad(String text, int width) {
        return text + " ".repeat(Math.max(0, width - text.length()));
    }

    /** What a peer sent must not move the terminal's cursor. */
    private static String clean(String text) {
        return text.replaceAll("\\p{Cntrl}", "?");
    }
}
