package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** What each pause cost: found out, connected again, agreed, first page. Thread-safe. */
final class RecoveryLog {
    private static final int KEPT = 16;

    // Guarded by this.
    private final ArrayDeque<Recovery> last = new ArrayDeque<>();
    private long count;
    private @Nullable String cause;
    private long detectMicros;
    private long pausedNanos;
    private long attempts;
    private long connectedNanos;
    private long resumedNanos;

    /** Counts on from {@code before}. */
    synchronized void countFrom(long before) {
        count = before;
    }

    /** The connection is gone. */
    synchronized void paused(String why, long lastReceivedNanos) {
        settle(0);
        count++;
        cause = why;
        pausedNanos = System.nanoTime();
        detectMicros = micros(lastReceivedNanos, pausedNanos);
        attempts = 0;
        connectedNanos = 0;
        resumedNanos = 0;
    }

    /** A source has come back. */
    synchronized void connected() {
        attempts++;
        connectedNanos = System.nanoTime();
    }

    /** Both sides know what is missing. */
    synchronized void resumed() {
        resumedNanos = System.nanoTime();
    }

    /** The first page after that; later calls change nothing. */
    synchronized void settle(long firstPageNanos) {
        if (cause != null) {
            last.add(current(firstPageNanos));
            if (last.size() > KEPT) {
                last.remove();
            }
            cause = null;
        }
    }

    synchronized long count() {
        return count;
    }

    /** The last ones, with the one under way. */
    synchronized List<Recovery> recoveries(long firstPageNanos) {
        if (cause != null && resumedNanos != 0 && firstPageNanos > resumedNanos) {
            settle(firstPageNanos);
        }
        List<Recovery> all = new ArrayList<>(last);
        if (cause != null) {
            all.add(current(firstPageNanos));
        }
        return all;
    }

    private Recovery current(long firstPageNanos) {
        return new Recovery(
                cause == null ? "" : cause,
                detectMicros,
                connectedNanos == 0 ? null : Long.valueOf(micros(pausedNanos, connectedNanos)),
                resumedNanos == 0 ? null : Long.valueOf(micros(connectedNanos, resumedNanos)),
                resumedNanos == 0 || firstPageNanos < resumedNanos
                        ? null
                        : Long.valueOf(micros(resumedNanos, firstPageNanos)),
                attempts);
    }

    private static long micros(long fromNanos, long toNanos) {
        return TimeUnit.NANOSECONDS.toMicros(toNanos - fromNanos);
    }
}
