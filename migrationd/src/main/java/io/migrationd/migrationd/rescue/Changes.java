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
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Waits until {@code condition} holds; false if it does not within {@code millis}. */
    boolean await(long millis, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        lock.lock();
        try {
            while (!condition.getAsBoolean()) {
                long left = end - System.nanoTime();
                if (left <= 0) {
                    return false;
                }
                // Not every change is an event: look from time to time, too.
                long _ = changed.awaitNanos(Math.min(left, LOOK_NANOS));
            }
            return true;
        } finally {
            lock.unlock();
        }
    }
}
