package io.migrationd.postcopy.fault;

import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * The page-request table: host pages that threads of the guest wait for, by address, in the order of their first fault.
 * A page is in it once, however many threads wait, and so is a thread for a page; a thread that waits does nothing
 * else, so that the table is bounded by the guest's threads. Any thread.
 *
 * <p>Fault thread and placing threads meet here without a lock on the common path: who waits is put in first and the
 * received bit looked at after, who places sets the bit first and looks here after. One of them sees the other.
 */
public final class PageRequests {
    /** Asks the source for the host page at an address of the guest. */
    @FunctionalInterface
    public interface Asker {
        /** Fails when there is no connection. */
        void ask(long hostVirtual) throws IOException;
    }

    /**
     * What was seen so far; times in nanoseconds.
     *
     * @param pending host pages that are waited for
     * @param waits how many have ended
     * @param powerBuckets bucket n counts waits of 2^n to 2^(n+1) microseconds
     * @param allThreadsNanos time during which all threads waited that ever did
     */
    public record Snapshot(
            int pending,
            long waits,
            long meanNanos,
            long p50Nanos,
            long p99Nanos,
            long maxNanos,
            List<Long> powerBuckets,
            long allThreadsNanos,
            Map<Integer, Long> threadNanos) {}

    /** A thread that waits for a page; the first is the page's entry, and has the others behind it. */
    private static final class Wait {
        private final long number;
        private final int thread;
        private final long sinceNanos;
        private @Nullable Wait next;

        private Wait(long number, int thread, long sinceNanos) {
            this.number = number;
            this.thread = thread;
            this.sinceNanos = sinceNanos;
        }
    }

    // All but the count guarded by this; the count is written under it.
    private final SequencedMap<Long, Wait> pages = new LinkedHashMap<>();
    private final LatencyHistogram latencies = new LatencyHistogram();
    private final Blocktime blocktime = new Blocktime();
    private long added;
    private boolean parked;
    private volatile int pending;

    /** A thread waits for a page; says whether the page is to be asked for now: nobody has, and we are not parked. */
    public synchronized boolean add(long hostVirtual, int thread, long nowNanos) {
        Wait first = pages.get(hostVirtual);
        if (first == null) {
            pages.put(hostVirtual, new Wait(++added, thread, nowNanos));
            pending = pages.size();
            blocktime.begin(thread, nowNanos);
            return !parked;
        }
        Wait last = first;
        for (Wait wait = first; wait != null; wait = wait.next) {
            if (wait.thread == thread) {
                return false; // A signal had interrupted its wait, or the kernel does not tell threads apart.
            }
            last = wait;
        }
        last.next = new Wait(first.number, thread, nowNanos);
        blocktime.begin(thread, nowNanos);
        return false;
    }

    /** The page is there; says whether somebody waited for it. Costs one volatile read when nobody waits at all. */
    public boolean remove(long hostVirtual) {
        return pending != 0 && removeAwaited(hostVirtual);
    }

    private synchronized boolean removeAwaited(long hostVirtual) {
        Wait first = pages.remove(hostVirtual);
        pending = pages.size();
        end(first, System.nanoTime());
        return first != null;
    }

    /** Nobody waits in the range any more. */
    public synchronized void removeRange(long startHostVirtual, long endHostVirtual) {
        long now = System.nanoTime();
        pages.entrySet().removeIf(page -> {
            boolean inside = page.getKey() >= startHostVirtual && page.getKey() < endHostVirtual;
            if (inside) {
                end(page.getValue(), now);
            }
            return inside;
        });
        pending = pages.size();
    }

    private void end(@Nullable Wait first, long now) {
        for (Wait wait = first; wait != null; wait = wait.next) {
            latencies.record(now - wait.sinceNanos);
            blocktime.end(wait.thread, now);
        }
    }

    /** From now on {@link #add} says that nothing is to be asked for. */
    public synchronized void park() {
        parked = true;
    }

    /**
     * Asks for every page that is waited for, in the order of the faults, those that come meanwhile included; then we
     * are no longer parked. Stays parked when asking fails.
     */
    public void resume(Asker asker) throws IOException {
        park();
        long asked = 0;
        while (true) {
            Batch next = unparkOrCollect(asked);
            if (next.pages().isEmpty()) {
                return;
            }
            for (long hostVirtual : next.pages()) {
                if (contains(hostVirtual)) {
                    asker.ask(hostVirtual);
                }
            }
            asked = next.last();
        }
    }

    private record Batch(List<Long> pages, long last) {}

    private synchronized Batch unparkOrCollect(long asked) {
        List<Long> later = pages.entrySet().stream()
                .filter(page -> page.getValue().number > asked)
                .map(Map.Entry::getKey)
                .toList();
        parked = !later.isEmpty();
        return new Batch(later, added);
    }

    private synchronized boolean contains(long hostVirtual) {
        return pages.containsKey(hostVirtual);
    }

    /** Since when the oldest page in the table is waited for. Costs one volatile read when nobody waits at all. */
    public OptionalLong awaitedSinceNanos() {
        return pending == 0 ? OptionalLong.empty() : oldestNanos();
    }

    private synchronized OptionalLong oldestNanos() {
        Map.Entry<Long, Wait> oldest = pages.firstEntry();
        return oldest == null ? OptionalLong.empty() : OptionalLong.of(oldest.getValue().sinceNanos);
    }

    /** What was seen so far; a wait that goes on counts in the times of the threads only. */
    public synchronized Snapshot snapshot() {
        long now = System.nanoTime();
        return new Snapshot(
                pages.size(),
                latencies.count(),
                latencies.meanNanos(),
                latencies.percentileNanos(0.5),
                latencies.percentileNanos(0.99),
                latencies.maxNanos(),
                latencies.powerBuckets(),
                blocktime.allNanos(now),
                blocktime.threadNanos(now));
    }
}
