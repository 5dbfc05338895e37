package io.migrationd.migrationd.sample;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/** Where the workers pass before each write, and wait while the guest is stopped. */
final class Gate {
    private final int workers;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private volatile boolean open;
    private boolean ended;
    private int waiting;

    /** Closed. */
    Gate(int workers) {
        this.workers = workers;
    }

    /** Returns when the gate is open; false when the guest has ended. */
    boolean pass() throws InterruptedException {
        if (open) {
            return true;
        }
        lock.lock();
        try {
            waiting++;
            changed.signalAll();
            while (!open && !ended) {
                changed.await();
            }
            waiting--;
            return !ended;
        } finally {
            lock.unlock();
        }
    }

    /** Waits until that time of the monotonic clock, or until the gate closes. */
    void rest(long untilNanos) throws InterruptedException {
        lock.lock();
        try {
            long left = untilNanos - System.nanoTime();
            while (open && left > 0) {
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
    }

    void open() {
        lock.lock();
        try {
            open = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * Closes, and returns when every worker waits. If one of them does not come in time, because it waits for a page,
     * all goes on as before.
     *
     * @return whether the gate is closed
     */
    boolean close(long deadlineMillis) throws InterruptedException {
        lock.lock();
        try {
            boolean wasOpen = open;
            open = false;
            changed.signalAll();
            long left = TimeUnit.MILLISECONDS.toNanos(deadlineMillis);
            while (waiting < workers && left > 0) {
                left = changed.awaitNanos(left);
            }
            if (waiting < workers && wasOpen) {
                open = true;
                changed.signalAll();
            }
            return waiting == workers;
        } finally {
            lock.unlock();
        }
    }

    /** Lets waiting workers go home. */
    void end() {
        lock.lock();
        try {
            open = false;
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }
}
