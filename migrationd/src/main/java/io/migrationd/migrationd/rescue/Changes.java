package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.session.EventSink;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/** Passes events on and wakes who waits for one. */
final class Changes implements EventSink {
    private static final long LOOK_NANOS = TimeUnit.MILLISECONDS.toNanos(100);

    private final EventSink next;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private long changes; // Guarded by lock.

    Changes(EventSink next) {
        this.next = next;
    }

    @Override
    public void event(String guest, String name, Map<String, Object> data) {
        next.event(guest, name, data);
        signal();
    }

    void signal() {
        lock.lock();
        try {
            changes++;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Waits until {@code condition} holds; false if it does not within {@code millis}. Looks at it without a lock: it
     * takes locks of its own, and whoever signals may hold them.
     */
    boolean await(long millis, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        while (true) {
            long seen = changeCount();
            if (condition.getAsBoolean()) {
                return true;
            }
            long left = end - System.nanoTime();
            if (left <= 0) {
                return false;
            }
            // Not every change is an event: look from time to time, too.
            awaitChange(seen, Math.min(left, LOOK_NANOS));
        }
    }

    private long changeCount() {
        lock.lock();
        try {
            return changes;
        } finally {
            lock.unlock();
        }
    }

    private void awaitChange(long seen, long nanos) throws InterruptedException {
        lock.lock();
        try {
            long left = nanos;
            while (changes == seen && left > 0) {
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
    }
}
