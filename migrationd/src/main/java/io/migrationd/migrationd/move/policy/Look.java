package io.migrationd.migrationd.move.policy;

/**
 * One look at a migration: what {@code query-migrate} of the source says, and what the daemon knows of the link.
 *
 * @param nowMillis of a clock that never jumps
 * @param status QEMU's migration status
 * @param remainingBytes RAM left to send, {@code ram.remaining}
 * @param totalBytes RAM of the guest
 * @param dirtySyncCount passes over the dirty log, {@code ram.dirty-sync-count}
 * @param dirtyPagesPerSecond {@code ram.dirty-pages-rate}
 * @param pageSizeBytes {@code ram.page-size}
 * @param megabitsPerSecond what QEMU believes, {@code ram.mbps}
 * @param expectedDowntimeMillis QEMU's own estimate, 0 without
 * @param throttlePercent how much of its time the guest is kept from running, {@code cpu-throttle-percentage}; 0
 *     without
 * @param link the state of the link
 * @param linkBytesPerSecond rate that the other daemon has acknowledged, 0 if not known
 */
public record Look(
        long nowMillis,
        String status,
        long remainingBytes,
        long totalBytes,
        long dirtySyncCount,
        long dirtyPagesPerSecond,
        int pageSizeBytes,
        double megabitsPerSecond,
        long expectedDowntimeMillis,
        int throttlePercent,
        LinkHealth link,
        long linkBytesPerSecond) {
    private static final double BYTES_PER_MEGABIT = 1e6 / 8;

    /** Bytes per second that really get through: the slower one of what QEMU and the link say; 0 if nobody knows. */
    public double bytesPerSecond() {
        double qemu = megabitsPerSecond * BYTES_PER_MEGABIT;
        if (linkBytesPerSecond <= 0) {
            return Math.max(0, qemu);
        }
        double link = (double) linkBytesPerSecond;
        return qemu <= 0 ? link : Math.min(qemu, link);
    }

    /** Bytes per second that the guest dirties. */
    public double dirtyBytesPerSecond() {
        return (double) dirtyPagesPerSecond * pageSizeBytes;
    }

    /** How long the guest would stand if {@code bytes} were sent while it does; QEMU's estimate if no rate is known. */
    public long downtimeMillis(long bytes) {
        double rate = bytesPerSecond();
        if (rate > 0) {
            return (long) Math.ceil(Math.min(bytes * 1000.0 / rate, Long.MAX_VALUE / 4.0));
        }
        return expectedDowntimeMillis > 0 ? expectedDowntimeMillis : Long.MAX_VALUE / 4;
    }
}
