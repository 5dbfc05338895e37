package io.migrationd.migrationd;

import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.Meters.Outcome;
import io.migrationd.migrationd.metrics.Meters.PageCause;
import io.migrationd.migrationd.metrics.Meters.PageKind;
import io.migrationd.migrationd.metrics.Meters.RecoveryStep;
import io.migrationd.migrationd.metrics.Meters.Role;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.RamCounters;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Latency;
import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Passes one migration's events on and feeds the meters at these rare points: the start, each pass, each step of
 * postcopy, the end. Events of one migration come from one thread at a time.
 */
final class MeteredEvents implements EventSink {
    private final EventSink next;
    private final Meters meters;
    private final Role role;
    private final Supplier<MigrationInfo> info;
    // Guarded by this, which is never held while an engine is asked: what the meters have been told.
    private String lastStatus = "none";
    private long bytes;
    private long normal;
    private long zero;
    private long deltas;
    private long requests;
    private long urgent;
    private long near;
    private long background;
    private long faultMicros;
    private List<Long> faults = List.of();
    /** Recoveries before this one, of all there were, are counted. */
    private long nextRecovery;

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
        boolean wasPaused = isPaused(exchange(status));
        switch (status) {
            case "setup" -> meters.migrationStarted(role);
            case "postcopy-active" -> {
                count(info.get());
                if (wasPaused) {
                    meters.postcopyRecovered(role);
                }
            }
            case "postcopy-paused" -> {
                count(info.get());
                if (!wasPaused) {
                    meters.postcopyPaused(role);
                }
            }
            case "completed" -> {
                if (wasPaused) {
                    meters.postcopyRecovered(role);
                }
                ended(Outcome.COMPLETED);
            }
            case "failed" -> ended(Outcome.FAILED);
            case "cancelled" -> ended(Outcome.CANCELLED);
            default -> {
                // On its way.
            }
        }
    }

    private synchronized String exchange(String status) {
        String before = lastStatus;
        lastStatus = status;
        return before;
    }

    /** In all of these the connection is gone; a recovery that fails is not a second pause. */
    private static boolean isPaused(String status) {
        return status.equals("postcopy-paused") || status.startsWith("postcopy-recover");
    }

    private void ended(Outcome outcome) {
        MigrationInfo last = info.get();
        count(last);
        if (last.postcopy() != null) {
            countRecoveries(last.postcopy(), true);
            countBlocktime(last.postcopy());
        }
        Long total = last.totalTimeMillis();
        meters.migrationEnded(role, outcome, Duration.ofMillis(total == null ? 0 : total));
        Long downtime = last.downtimeMillis();
        if (role == Role.SOURCE && outcome == Outcome.COMPLETED && downtime != null) {
            meters.migrationDowntime(Duration.ofMillis(downtime));
        }
    }

    private synchronized void count(MigrationInfo now) {
        if (now.ram() != null) {
            countRam(now.ram(), now.xbzrle());
        }
        if (now.postcopy() != null) {
            countPostcopy(now.postcopy());
        }
    }

    private synchronized void countPostcopy(PostcopyInfo now) {
        meters.postcopyRequests(role, now.requests() - requests);
        requests = now.requests();
        if (role == Role.SOURCE) {
            meters.postcopyPages(PageCause.URGENT, orZero(now.urgentPages()) - urgent);
            meters.postcopyPages(PageCause.NEAR, orZero(now.nearPages()) - near);
            meters.postcopyPages(PageCause.BACKGROUND, orZero(now.backgroundPages()) - background);
            urgent = orZero(now.urgentPages());
            near = orZero(now.nearPages());
            background = orZero(now.backgroundPages());
        }
        if (now.faults() != null) {
            countFaults(now.faults());
        }
        countRecoveries(now, false);
    }

    /** Each once: when its first page has come, another one follows, or nothing more does. */
    private synchronized void countRecoveries(PostcopyInfo now, boolean over) {
        List<Recovery> shown = now.recoveries();
        long first = now.recoveryCount() - shown.size();
        for (int i = 0; i < shown.size(); i++) {
            Recovery recovery = shown.get(i);
            boolean whole = over || i < shown.size() - 1 || recovery.firstPageMicros() != null;
            if (whole && first + i >= nextRecovery) {
                nextRecovery = first + i + 1;
                step(RecoveryStep.DETECT, recovery.detectMicros());
                step(RecoveryStep.RECONNECT, recovery.reconnectMicros());
                step(RecoveryStep.RESYNC, recovery.resyncMicros());
                step(RecoveryStep.FIRST_PAGE, recovery.firstPageMicros());
            }
        }
    }

    private void step(RecoveryStep step, @Nullable Long micros) {
        if (micros != null) {
            meters.recoveryStep(role, step, Duration.of(Math.max(0, micros), ChronoUnit.MICROS));
        }
    }

    private void countBlocktime(PostcopyInfo last) {
        Long together = last.blocktimeMillis();
        if (together != null) {
            meters.postcopyBlocktime(
                    Duration.ofMillis(together),
                    last.threadBlocktimeMillis().values().stream()
                            .map(Duration::ofMillis)
                            .toList());
        }
    }

    private synchronized void countFaults(Latency now) {
        long micros = now.meanMicros() * now.count();
        List<Long> before = faults;
        meters.faultLatencies(
                IntStream.range(0, now.buckets().size())
                        .mapToObj(n -> now.buckets().get(n) - (n < before.size() ? before.get(n) : 0))
                        .toList(),
                micros - faultMicros);
        faults = now.buckets();
        faultMicros = micros;
    }

    private static long orZero(@Nullable Long value) {
        return value == null ? 0 : value;
    }

    private synchronized void countRam(RamCounters ram, @Nullable XbzrleCounters xbzrle) {
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
