package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.SendBuffer;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.state.SavingHandler;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Sends guest RAM: in precopy pass after pass over the dirty pages of all blocks, in runs. In postcopy it hands out
 * {@linkplain #pages what is left} and {@linkplain #postcopyWriter writers}; who sends what when is
 * {@link PostcopySender}'s.
 */
final class RamSender implements SavingHandler {
    /** The size of a host page that the block list does not mention. */
    static final int BASE_PAGE_BYTES = 4096;

    private final Guest guest;
    private final boolean postcopy;
    private final int pageSizeBytes;
    private final int maxRun;
    private final RamCounters counters;
    private final @Nullable XbzrleCache xbzrle;
    private final Runnable onPass;
    private final LongSupplier nowNanos;
    private final DirtyPages pages;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment zeroes;
    private final PageWriter writer;
    private final PageRun run = new PageRun();

    private @Nullable DirtyLog dirtyLog;
    private long lastSyncNanos;

    /**
     * A sender for the RAM of {@code guest}.
     *
     * @param postcopy whether the capability is on, so that the block list tells page sizes
     * @param xbzrleCacheSize bytes of delta cache, 0 without the capability
     * @param onPass called after each look at the dirty log
     */
    RamSender(
            Guest guest,
            boolean postcopy,
            long xbzrleCacheSize,
            RamCounters counters,
            Runnable onPass,
            LongSupplier nowNanos) {
        this.guest = guest;
        this.postcopy = postcopy;
        this.pageSizeBytes = guest.targetPageSizeBytes();
        this.maxRun = PageWriter.maxRun(pageSizeBytes);
        this.counters = counters;
        this.xbzrle = xbzrleCacheSize > 0 ? new XbzrleCache(xbzrleCacheSize, pageSizeBytes) : null;
        this.onPass = onPass;
        this.nowNanos = nowNanos;
        this.pages = new DirtyPages(guest);
        this.zeroes = arena.allocate(pageSizeBytes, Long.BYTES);
        this.writer = new PageWriter(counters, zeroes, xbzrle, arena.allocate(pageSizeBytes, Long.BYTES));
    }

    /** What has still to be sent. */
    DirtyPages pages() {
        return pages;
    }

    /** A writer for one channel of postcopy: final pages, never deltas. */
    PageWriter postcopyWriter() {
        return new PageWriter(counters, zeroes, null, MemorySegment.NULL);
    }

    @Override
    public void setup(StreamOutput out) throws IOException {
        dirtyLog = guest.openDirtyLog();
        lastSyncNanos = nowNanos.getAsLong();
        synchronizeDirtyLog();
        WireWriter body = new WireWriter();
        RamRecordWriter.blockList(
                pages.blocks().stream()
                        .map(b -> new BlockListEntry(0, b.ram.name(), b.ram.lengthBytes(), announcedPageSize(b)))
                        .toList(),
                body);
        out.write(body);
    }

    /** Wire source: QEMU 10.0 migration/ram.c, ram_save_setup: only with postcopy, only what is not the base page. */
    private long announcedPageSize(SourceBlock block) {
        int size = block.ram.pageSizeBytes();
        return postcopy && size != Math.max(BASE_PAGE_BYTES, pageSizeBytes) ? size : 0;
    }

    @Override
    public boolean iterate(StreamOutput out, IterationBudget budget) throws IOException {
        long start = out.position();
        boolean nothingLeft = false;
        while (budget.allows(out.position() - start)) {
            if (!sendNextRun(out)) {
                nothingLeft = true;
                break;
            }
        }
        publishRemaining();
        endBody(out);
        return nothingLeft;
    }

    @Override
    public void completePrecopy(StreamOutput out) throws IOException {
        synchronizeDirtyLog();
        while (sendNextRun(out)) {
            // Until every page that the guest has written is on its way.
        }
        publishRemaining();
        endBody(out);
    }

    @Override
    public boolean hasPostcopy() {
        return postcopy;
    }

    /** The guest is stopped for postcopy: what is dirty now has to be dropped by the destination and sent again. */
    void beginPostcopy() throws ErrnoException {
        synchronizeDirtyLog();
        resumePrepare();
    }

    @Override
    public void completePostcopy(StreamOutput out) throws IOException {
        publishRemaining();
        endBody(out);
    }

    @Override
    public void resumePrepare() {
        pages.coarsen();
        publishRemaining();
    }

    @Override
    public long pendingEstimate() {
        return pages.pageCount() * pageSizeBytes;
    }

    @Override
    public long pendingExact() throws IOException {
        synchronizeDirtyLog();
        return pendingEstimate();
    }

    @Override
    public void cleanup() {
        if (dirtyLog != null) {
            dirtyLog.close();
        }
        if (xbzrle != null) {
            xbzrle.close();
        }
        arena.close();
    }

    private void synchronizeDirtyLog() throws ErrnoException {
        DirtyLog log = dirtyLog;
        if (log == null) {
            throw new IllegalStateException("dirty pages asked for before setup");
        }
        long dirtied = pages.collect(log);
        // A hole seen before this look may have been written since: look again.
        writer.forgetHoles();
        long now = nowNanos.getAsLong();
        if (counters.dirtySyncs.get() > 0 && now > lastSyncNanos) {
            counters.dirtyPagesRate.set((long) (dirtied * 1e9 / (now - lastSyncNanos)));
        }
        lastSyncNanos = now;
        counters.dirtySyncs.incrementAndGet();
        publishRemaining();
        onPass.run();
    }

    void publishRemaining() {
        counters.remainingBytes.lazySet(pendingEstimate());
    }

    private static void endBody(StreamOutput out) throws IOException {
        SendBuffer buffer = out.room(Long.BYTES);
        out.advance(buffer, RamRecordWriter.endOfSection(buffer.segment(), buffer.limit()));
    }

    /** Sends the next dirty pages that lie together; false if there is none in any block. */
    private boolean sendNextRun(StreamOutput out) throws IOException {
        if (!pages.claimNext(maxRun, run)) {
            return false;
        }
        if (xbzrle != null && pages.isFirstPassDone()) {
            writer.sendDeltas();
        }
        writer.write(out, run);
        return true;
    }
}
