package io.migrationd.migrationd;

import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.Meters.Outcome;
import io.migrationd.migrationd.metrics.Meters.PageKind;
import io.migrationd.migrationd.metrics.Meters.Role;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.RamCounters;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import java.time.Duration;
import java.util.Map;
import java.util.function.Supplier;

/**
 * Passes one migration's events on and feeds the meters at these rare points: the start, each pass, the end. Events of
 * one migration come from one thread at a time.
 */
final class MeteredEvents implements EventSink {
    private final EventSink next;
    private final Meters meters;
    private final Role role;
    private final Supplier<MigrationInfo> info;
    private long bytes;
    private long normal;
    private long zero;
    private long deltas;

    MeteredEvents(EventSink next, Meters meters, Role role, Supplier<MigrationInfo> info) {
        this.next = next;
        this.meters = meters;
        this.role = role;
        this.info = info;
    }

    @Override
    public void event(String guest, String name, Map<String, Object> data) {
        next.event(guest, name, data);
        if (name.equals("MIGRATION_PASS")) {
            meters.passCompleted();
            count(info.get());
        } else if (name.equals("MIGRATION")) {
            status(String.valueOf(data.get("status")));
        }
    }

    private void status(String status) {
        switch (status) {
            case "setup" -> meters.migrationStarted(role);
            case "completed" -> ended(Outcome.COMPLETED);
            case "failed" -> ended(Outcome.FAILED);
            case "cancelled" -> ended(Outcome.CANCELLED);
            default -> {
                // On its way.
            }
        }
    }

    private void ended(Outcome outcome) {
        MigrationInfo last = info.get();
        count(last);
        Long total = last.totalTimeMillis();
        meters.migrationEnded(role, outcome, Duration.ofMillis(total == null ? 0 : total));
        Long downtime = last.downtimeMillis();
        if (role == Role.SOURCE && outcome == Outcome.COMPLETED && downtime != null) {
            meters.migrationDowntime(Duration.ofMillis(downtime));
        }
    }

    private synchronized void count(MigrationInfo now) {
        RamCounters ram = now.ram();
        if (ram == null) {
            return;
        }
        XbzrleCounters xbzrle = now.xbzrle();
        long newDeltas = xbzrle == null ? 0 : xbzrle.pages();
        if (role == Role.SOURCE) {
            meters.bytesSent(ram.transferred() - bytes);
            meters.pagesSent(PageKind.NORMAL, ram.normalPages() - normal);
            meters.pagesSent(PageKind.ZERO, ram.duplicatePages() - zero);
            meters.pagesSent(PageKind.XBZRLE, newDeltas - deltas);
        } else {
            meters.bytesReceived(ram.transferred() - bytes);
            meters.pagesReceived(PageKind.NORMAL, ram.normalPages() - normal);
            meters.pagesReceived(PageKind.ZERO, ram.duplicatePages() - zero);
        }
        bytes = ram.transferred();
        normal = ram.normalPages();
        zero = ram.duplicatePages();
        deltas = newDeltas;
    }
}
