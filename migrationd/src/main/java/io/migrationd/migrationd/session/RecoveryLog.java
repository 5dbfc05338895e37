package io.migrationd.migrationd.session;

import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.util.ArrayDeque;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** How long each step of each recovery took, at either end. Times come in, in nanoseconds of the monotonic clock. */
public final class RecoveryLog {
    /** Episodes that are kept. */
    public static final int KEPT = 16;

    // All guarded by this.
    private final ArrayDeque<Recovery> ended = new ArrayDeque<>();
    private @Nullable Recovery current;
    private long count;
    private long pausedNanos;
    private long stepNanos;

    /** Counts on from {@code before}. */
    public synchronized void countFrom(long before) {
        count = before;
    }

    /** The connection broke. */
    public synchronized void paused(String cause, long lastReceivedNanos, long nowNanos) {
        keepCurrent();
        count++;
        current = new Recovery(cause, micros(lastReceivedNanos, nowNanos), null, null, null, 0);
        pausedNanos = nowNanos;
    }

    /** A connection is tried. */
    public synchronized void attempt() {
        if (current != null) {
            current = new Recovery(current.cause(), current.detectMicros(), null, null, null, current.attempts() + 1);
        }
    }

    /** A connection stands; what follows is undone by the next {@link #attempt}. */
    public synchronized void connected(long nowNanos) {
        if (current != null) {
            current = new Recovery(
                    current.cause(),
                    current.detectMicros(),
                    micros(pausedNanos, nowNanos),
                    null,
                    null,
                    current.attempts());
            stepNanos = nowNanos;
        }
    }

    /** The destination goes on. */
    public synchronized void resumed(long nowNanos) {
        if (current != null) {
            current = new Recovery(
                    current.cause(),
                    current.detectMicros(),
                    current.reconnectMicros(),
                    micros(stepNanos, nowNanos),
                    null,
                    current.attempts());
            stepNanos = nowNanos;
        }
    }

    /**
     * The first page came or is on its way; the whole episode, if there was one that this ends. Pages from before it
     * are none of it.
     */
    public synchronized Optional<Recovery> firstPage(long nowNanos) {
        Recovery open = current;
        if (open == null || open.resyncMicros() == null || nowNanos - stepNanos < 0) {
            return Optional.empty();
        }
        Recovery whole = new Recovery(
                open.cause(),
                open.detectMicros(),
                open.reconnectMicros(),
                open.resyncMicros(),
                micros(stepNanos, nowNanos),
                open.attempts());
        current = whole;
        keepCurrent();
        return Optional.of(whole);
    }

    /** The last episodes, oldest first. */
    public synchronized List<Recovery> last() {
        ArrayDeque<Recovery> all = new ArrayDeque<>(ended);
        if (current != null) {
            if (all.size() == KEPT) {
                all.remove();
            }
            all.add(current);
        }
        return List.copyOf(all);
    }

    /** All episodes. */
    public synchronized long count() {
        return count;
    }

    private void keepCurrent() {
        if (current == null) {
            return;
        }
        if (ended.size() == KEPT) {
            ended.remove();
        }
        ended.add(current);
        current = null;
    }

    private static long micros(long fromNanos, long toNanos) {
        return TimeUnit.NANOSECONDS.toMicros(Math.max(0, toNanos - fromNanos));
    }
}
