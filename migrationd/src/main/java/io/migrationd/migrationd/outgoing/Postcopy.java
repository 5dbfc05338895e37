package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.RecoveryLog;
import io.migrationd.protocol.stream.Command.PageSizes;
import java.util.Map;

/**
 * What a migration with capability postcopy-ram keeps beyond one connection: what is left to send, what is asked for,
 * and what was counted.
 */
final class Postcopy {
    private final OutgoingRequest request;
    private final RamSender ram;
    private final Wakeup wakeup;
    private final PageQueue queue;
    private final GuestPageLimits limits;
    private final PostcopyCounters counters = new PostcopyCounters();
    private final RecoveryLog recoveries = new RecoveryLog();
    /** Has the queue served: sends itself or, where it can't, wakes the migration thread. */
    private volatile Runnable server;

    Postcopy(OutgoingRequest request, RamSender ram, Wakeup wakeup) {
        this.request = request;
        this.ram = ram;
        this.wakeup = wakeup;
        this.server = wakeup::raise;
        this.queue = new PageQueue(ram.pages().blocks(), request.guest().targetPageSizeBytes());
        this.limits = new GuestPageLimits(request.guest());
    }

    OutgoingRequest request() {
        return request;
    }

    RamSender ram() {
        return ram;
    }

    DirtyPages pages() {
        return ram.pages();
    }

    PageQueue queue() {
        return queue;
    }

    GuestPageLimits limits() {
        return limits;
    }

    PostcopyCounters counters() {
        return counters;
    }

    RecoveryLog recoveries() {
        return recoveries;
    }

    /** Wakes the migration thread. */
    Wakeup wakeup() {
        return wakeup;
    }

    boolean isPreempting() {
        return request.has(Capability.POSTCOPY_PREEMPT);
    }

    PreemptStyle preemptStyle() {
        return PreemptStyle.of(request.guest().machineType().orElse(""));
    }

    /** From now on {@code next} is called after each request, and now. */
    void servedBy(Runnable next) {
        server = next;
        next.run();
    }

    /**
     * The destination asks for a range. Return-path thread: waits for nothing but the socket that the page goes to,
     * which the destination empties whatever else it does.
     */
    void requested(String block, long start, int lengthBytes) {
        counters.requests.incrementAndGet();
        counters.droppedRequests.addAndGet(queue.offer(block, start, lengthBytes));
        server.run();
    }

    /** What ADVISE tells: the sizes of all host pages, or-ed, and that of a guest page. */
    PageSizes pageSizes() {
        int page = request.guest().targetPageSizeBytes();
        long all = Math.max(RamSender.BASE_PAGE_BYTES, page);
        for (SourceBlock block : pages().blocks()) {
            all |= block.ram.pageSizeBytes();
        }
        return new PageSizes(all, page);
    }

    /** For {@link MigrationInfo}. */
    PostcopyInfo info() {
        return new PostcopyInfo(
                counters.requests.get(),
                null,
                counters.urgentPages.get(),
                counters.nearPages.get(),
                counters.backgroundPages.get(),
                null,
                null,
                Map.of(),
                recoveries.last(),
                recoveries.count());
    }
}
