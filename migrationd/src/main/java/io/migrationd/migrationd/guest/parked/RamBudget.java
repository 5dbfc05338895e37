package io.migrationd.migrationd.guest.parked;

/** How much RAM all parked guests of this host may hold together. Thread-safe. */
public final class RamBudget {
    private final long limitBytes;
    private long usedBytes;

    /** Nothing is used yet. */
    public RamBudget(long limitBytes) {
        this.limitBytes = limitBytes;
    }

    /** Takes {@code bytes}; false if the limit would be passed. */
    public synchronized boolean reserve(long bytes) {
        if (bytes > limitBytes - usedBytes) {
            return false;
        }
        usedBytes += bytes;
        return true;
    }

    /** Takes what exists already, whatever the limit says: a guest that is here is not thrown away for it. */
    public synchronized void account(long bytes) {
        usedBytes += bytes;
    }

    /** Gives {@code bytes} back. */
    public synchronized void release(long bytes) {
        usedBytes -= bytes;
    }

    /** What is left, for messages. */
    public synchronized long leftBytes() {
        return Math.max(0, limitBytes - usedBytes);
    }
}
