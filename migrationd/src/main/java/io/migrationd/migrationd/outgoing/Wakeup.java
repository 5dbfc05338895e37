package io.migrationd.migrationd.outgoing;

import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/**
 * What one thread waits on between two looks at what it has to do. A call that comes before the wait ends it at once,
 * so that nothing is missed; waking for nothing is harmless, because the thread looks again.
 */
final class Wakeup {
    private final Semaphore raised = new Semaphore(0);

    /** Ends the wait, or the next one. Any thread; never blocks. */
    void raise() {
        if (raised.availablePermits() == 0) {
            raised.release();
        }
    }

    /** Waits until raised, at most {@code nanos}. */
    void await(long nanos) throws InterruptedException {
        if (raised.tryAcquire(nanos, TimeUnit.NANOSECONDS)) {
            raised.drainPermits();
        }
    }
}
