package io.migrationd.migrationd.qmp;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Events for a thread that waits for them, in order; then why there will be no more. Kept up to a bound: a watcher that
 * stands still loses the oldest.
 */
public final class QmpEvents implements QmpMonitor.Listener {
    /** A whole migration makes a few dozen events. */
    static final int MAX_EVENTS = 10_000;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Deque<QmpEvent> events = new ArrayDeque<>(); // guarded by lock
    private @Nullable QmpClosedException failure; // guarded by lock

    /** Without events. */
    public QmpEvents() {}

    @Override
    public void event(QmpEvent event) {
        lock.lock();
        try {
            if (events.size() == MAX_EVENTS) {
                events.removeFirst();
            }
            events.addLast(event);
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The first failure stands. What came before it can still be taken. */
    @Override
    public void closed(QmpClosedException cause) {
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The next event, or nothing if none came until then. */
    public Optional<QmpEvent> await(long deadlineNanos) throws QmpClosedException, InterruptedException {
        lock.lock();
        try {
            while (events.isEmpty()) {
                if (failure != null) {
                    throw failure;
                }
                long leftNanos = deadlineNanos - System.nanoTime();
                if (leftNanos <= 0) {
                    return Optional.empty();
                }
                long _ = changed.awaitNanos(leftNanos);
            }
            return Optional.of(events.removeFirst());
        } finally {
            lock.unlock();
        }
    }
}
