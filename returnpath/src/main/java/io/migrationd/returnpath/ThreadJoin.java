package io.migrationd.returnpath;

import java.time.Duration;

/** Joins a thread that was told to stop. */
final class ThreadJoin {
    private ThreadJoin() {}

    /**
     * Waits until {@code thread} has ended. An interrupt of the caller does not cut the wait short and is kept.
     *
     * @throws IllegalStateException if it has not ended in time; the cause has its stack
     */
    static void join(Thread thread, Duration timeout) {
        long deadline = System.nanoTime() + timeout.toNanos();
        boolean interrupted = false;
        try {
            while (thread.isAlive()) {
                Duration left = Duration.ofNanos(deadline - System.nanoTime());
                if (!left.isPositive()) {
                    throw stillRunning(thread, timeout);
                }
                try {
                    thread.join(left);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private static IllegalStateException stillRunning(Thread thread, Duration timeout) {
        var where = new Throwable("where thread " + thread.getName() + " is");
        where.setStackTrace(thread.getStackTrace());
        return new IllegalStateException(
                "thread " + thread.getName() + " did not stop within " + timeout.toMillis() + " ms", where);
    }
}
