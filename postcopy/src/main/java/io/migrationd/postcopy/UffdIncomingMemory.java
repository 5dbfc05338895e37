package io.migrationd.postcopy;

import io.migrationd.postcopy.fault.FaultService;
import io.migrationd.postcopy.fault.FaultSink;
import io.migrationd.postcopy.fault.PageRequests;
import io.migrationd.postcopy.memory.GuestRange;
import io.migrationd.postcopy.os.Placement;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.LongAdder;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Memory of a guest process that runs while its pages arrive. Addresses are those of that process, the userfaultfd is
 * its own (linux/userfaultfd.h), and both outlive us: what we leave registered goes on faulting until the next one
 * serves it. Pages are placed by UFFDIO_COPY and UFFDIO_ZEROPAGE, which show them whole.
 *
 * <p>A page is marked received after it was placed, never before. One that is marked and yet faults was received as a
 * hole, or given up by the guest since (MADV_REMOVE, fallocate): it is zeroes, placed here without asking anybody.
 *
 * <p>A guest that has switched on EVENT_REMOVE or EVENT_UNMAP gives up with each such event what it has not received
 * yet, too: a MADV_DONTNEED looks no different from a MADV_REMOVE. It waits for each event to be read as long as its
 * memory is registered in any mode, also when nobody is here to read.
 */
public final class UffdIncomingMemory implements IncomingMemory {
    private static final Logger log = LoggerFactory.getLogger(UffdIncomingMemory.class);
    private static final long CHANGES = Userfaultfd.FEATURE_EVENT_REMOVE | Userfaultfd.FEATURE_EVENT_UNMAP;
    private static final long NOT_SERVED = Userfaultfd.FEATURE_EVENT_FORK | Userfaultfd.FEATURE_EVENT_REMAP;
    private static final long RETRY_NANOS = TimeUnit.MICROSECONDS.toNanos(50);
    private static final long RETRY_LIMIT_SECONDS = 5;
    private static final long NANOS_PER_MICRO = 1000;
    /** Pages that lie apart in the stream are copied together up to this, which stays in the cache. */
    private static final int TOGETHER_BYTES = 64 * 1024;

    private static final long NANOS_PER_MILLI = 1_000_000;

    private final String session;
    private final List<IncomingBlock> blocks;
    private final List<GuestRegion> regions = new ArrayList<>();
    private final Map<IncomingBlock, GuestRegion> regionOfBlock = new HashMap<>();
    private final Userfaultfd userfaultfd;
    private final PageRequests requests = new PageRequests();
    private final LongAdder sent = new LongAdder();
    private final AtomicBoolean failureIsKnown = new AtomicBoolean();

    /** Read: a page is placed. Write: a change of the guest's mappings is read and noted. */
    private final ReentrantReadWriteLock layout = new ReentrantReadWriteLock();

    /** Of each thread that places. */
    private final ThreadLocal<MemorySegment> gathered =
            ThreadLocal.withInitial(() -> Arena.ofAuto().allocate(TOGETHER_BYTES, Long.BYTES));

    private volatile boolean reportsChanges;
    private volatile PageRequester requester = UffdIncomingMemory::refuse;
    private volatile @Nullable FaultService service;

    private UffdIncomingMemory(
            String session, List<IncomingBlock> blocks, List<GuestRange> ranges, Userfaultfd userfaultfd) {
        this.session = session;
        this.blocks = List.copyOf(blocks);
        this.userfaultfd = userfaultfd;
        int longest =
                blocks.stream().mapToInt(IncomingBlock::hostPageBytes).max().orElse(1);
        // As long-lived as we are, whichever thread places last; the collector frees it.
        MemorySegment zeroes = Arena.ofAuto().allocate(longest, Long.BYTES);
        for (IncomingBlock block : blocks) {
            GuestRegion region = new GuestRegion(block, rangeOf(block, ranges), userfaultfd, zeroes);
            regions.add(region);
            regionOfBlock.put(block, region);
        }
    }

    /**
     * Every block has a range of its length, and guest pages no longer than the pages that back it: a longer one could
     * be seen in part.
     *
     * @param ranges where the blocks lie in the guest's process
     * @param userfaultfd the guest's, after UFFDIO_API and O_NONBLOCK; it stays its owner's
     */
    public static UffdIncomingMemory of(
            String session, List<IncomingBlock> blocks, List<GuestRange> ranges, Userfaultfd userfaultfd) {
        return new UffdIncomingMemory(session, blocks, ranges, userfaultfd);
    }

    private static GuestRange rangeOf(IncomingBlock block, List<GuestRange> ranges) {
        long lengthBytes = block.ram().lengthBytes();
        if (block.targetPageBytes() > block.ram().pageSizeBytes()) {
            throw new IllegalArgumentException(
                    "block %s has pages of %d bytes, in which guest pages of %d are not whole"
                            .formatted(block.name(), block.ram().pageSizeBytes(), block.targetPageBytes()));
        }
        return ranges.stream()
                .filter(range -> range.blockName().equals(block.name()) && range.lengthBytes() == lengthBytes)
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException(
                        "block %s of %d bytes is none of %s".formatted(block.name(), lengthBytes, ranges)));
    }

    private static void refuse(String block, long start, int lengthBytes) throws IOException {
        throw new IOException("page %d of block %s is asked for before the start".formatted(start, block));
    }

    @Override
    public List<IncomingBlock> blocks() {
        return blocks;
    }

    /**
     * As the interface says. If it fails, what is registered stays so: in a guest that runs, taking it back would turn
     * missing pages into zeroes.
     */
    @Override
    public void start(PageRequester requester) throws IOException {
        if (service != null) {
            throw new IllegalStateException("session " + session + " was started before");
        }
        long features = userfaultfd.features();
        if ((features & NOT_SERVED) != 0) {
            throw new IOException(
                    "the guest's userfaultfd has features %#x; forks and remaps are not served".formatted(features));
        }
        reportsChanges = (features & CHANGES) != 0;
        this.requester = requester;
        for (GuestRegion region : regions) {
            region.guard();
        }
        service = FaultService.start(session, userfaultfd, layout.writeLock(), new Faults());
        for (GuestRegion region : regions) {
            region.wakeAll(); // What a predecessor has read and not answered is raised again.
        }
    }

    @Override
    public void place(IncomingBlock block, long offset, MemorySegment source, long sourceOffset) throws IOException {
        placePage(block, offset, source, sourceOffset);
    }

    @Override
    public void placeZero(IncomingBlock block, long offset) throws IOException {
        placePage(block, offset, null, 0);
    }

    /**
     * As the interface says; so many at a time as one system call places well. Whoever waits for the last of these
     * waits for the others too, some ten microseconds.
     */
    @Override
    public void placeRun(
            IncomingBlock block, long offset, int count, MemorySegment source, long sourceOffset, long stride)
            throws IOException {
        GuestRegion region = regionOf(block);
        int pageBytes = block.hostPageBytes();
        int most = Math.max(1, TOGETHER_BYTES / pageBytes);
        for (int done = 0; done < count; done += most) {
            int pages = Math.min(most, count - done);
            long first = offset + (long) done * pageBytes;
            long from = sourceOffset + done * stride;
            block.requireHostPage(first);
            block.requireHostPage(first + (pages - 1L) * pageBytes);
            if (pages == 1 || !arePlacedTogether(region, first, pages, source, from, stride)) {
                for (int i = 0; i < pages; i++) {
                    placePage(block, first + (long) i * pageBytes, source, from + i * stride);
                }
            }
        }
    }

    /** False if something speaks against it: one of them was there before, or the guest's mappings change. */
    private boolean arePlacedTogether(
            GuestRegion region, long offset, int pages, MemorySegment source, long sourceOffset, long stride)
            throws IOException {
        int pageBytes = region.block().hostPageBytes();
        MemorySegment together = gathered.get();
        for (int i = 0; i < pages; i++) {
            MemorySegment.copy(source, sourceOffset + i * stride, together, (long) i * pageBytes, pageBytes);
        }
        if (!reportsChanges) {
            return tryPlaceTogether(region, offset, pages, together);
        }
        layout.readLock().lock();
        try {
            return tryPlaceTogether(region, offset, pages, together);
        } finally {
            layout.readLock().unlock();
        }
    }

    /** The order is that of {@link #tryPlace}. What was placed before something spoke against it is found there. */
    private boolean tryPlaceTogether(GuestRegion region, long offset, int pages, MemorySegment together)
            throws IOException {
        IncomingBlock block = region.block();
        if (block.isAnyReceived(offset, pages) || region.copy(offset, pages, together) != Placement.PLACED) {
            return false;
        }
        block.markHostPagesReceived(offset, pages);
        for (int i = 0; i < pages; i++) {
            requests.remove(region.hostVirtual(offset + (long) i * block.hostPageBytes()));
        }
        return true;
    }

    private GuestRegion regionOf(IncomingBlock block) {
        GuestRegion region = regionOfBlock.get(block);
        if (region == null) {
            throw new IllegalArgumentException("block " + block.name() + " is not of this memory");
        }
        return region;
    }

    /** {@code source} is null for zeroes. */
    private void placePage(IncomingBlock block, long offset, @Nullable MemorySegment source, long sourceOffset)
            throws IOException {
        GuestRegion region = regionOf(block);
        block.requireHostPage(offset);
        if (isPlaced(region, offset, source, sourceOffset)) {
            return;
        }
        long giveUp = System.nanoTime() + TimeUnit.SECONDS.toNanos(RETRY_LIMIT_SECONDS);
        do {
            if (System.nanoTime() - giveUp > 0) {
                throw new IOException("page %d of block %s: the guest's mappings have been changing for %d s"
                        .formatted(offset, block.name(), RETRY_LIMIT_SECONDS));
            }
            LockSupport.parkNanos(RETRY_NANOS); // The fault thread reads the event that ends the change.
        } while (!isPlaced(region, offset, source, sourceOffset));
    }

    private boolean isPlaced(GuestRegion region, long offset, @Nullable MemorySegment source, long sourceOffset)
            throws IOException {
        if (!reportsChanges) {
            return tryPlace(region, offset, source, sourceOffset);
        }
        layout.readLock().lock();
        try {
            return tryPlace(region, offset, source, sourceOffset);
        } finally {
            layout.readLock().unlock();
        }
    }

    /** False while the guest's mappings change. The order is the one that {@link PageRequests} needs. */
    private boolean tryPlace(GuestRegion region, long offset, @Nullable MemorySegment source, long sourceOffset)
            throws IOException {
        boolean known = region.block().isHostPageReceived(offset);
        Placement answer = Placement.ALREADY_THERE;
        if (!known) {
            answer = source == null ? region.zero(offset) : region.copy(offset, source, sourceOffset);
            if (answer == Placement.RETRY) {
                return false;
            }
            region.block().markHostPageReceived(offset);
        }
        boolean awaited = requests.remove(region.hostVirtual(offset));
        if (answer == Placement.ALREADY_THERE && (awaited || !known)) {
            region.wakePage(offset);
        }
        return true;
    }

    @Override
    public void park() {
        requests.park();
    }

    @Override
    public void resume() throws IOException {
        failureIsKnown.set(false);
        requests.resume(this::ask);
    }

    private void ask(long hostVirtual) throws IOException {
        GuestRegion region = regionAt(hostVirtual);
        if (region != null) {
            IncomingBlock block = region.block();
            requester.requestPages(block.name(), region.pageOffset(hostVirtual), block.hostPageBytes());
            sent.increment();
        }
    }

    private @Nullable GuestRegion regionAt(long hostVirtual) {
        for (GuestRegion region : regions) {
            if (region.contains(hostVirtual)) {
                return region;
            }
        }
        return null;
    }

    @Override
    public boolean isComplete() {
        return blocks.stream().allMatch(block -> block.received().isComplete());
    }

    /**
     * As the interface says, once more if it failed. The kernel forgets with the registration what it had noted of
     * writes: a dirty log starts anew, and finds everything written.
     */
    @Override
    public void finish() throws IOException {
        blocks.forEach(IncomingBlock::requireComplete);
        close();
        for (GuestRegion region : regions) {
            region.unguard();
        }
    }

    @Override
    public OptionalLong awaitedSinceNanos() {
        return requests.awaitedSinceNanos();
    }

    @Override
    public FaultReport report() {
        PageRequests.Snapshot seen = requests.snapshot();
        Map<Integer, Long> threadMillis = new TreeMap<>();
        seen.threadNanos().forEach((thread, nanos) -> threadMillis.put(thread, nanos / NANOS_PER_MILLI));
        return new FaultReport(
                sent.sum(),
                seen.pending(),
                seen.waits(),
                micros(seen.meanNanos()),
                micros(seen.p50Nanos()),
                micros(seen.p99Nanos()),
                micros(seen.maxNanos()),
                seen.powerBuckets(),
                seen.allThreadsNanos() / NANOS_PER_MILLI,
                threadMillis);
    }

    /** Rounded up: a wait is never none at all. */
    private static long micros(long nanos) {
        return Math.ceilDiv(nanos, NANOS_PER_MICRO);
    }

    @Override
    public void close() {
        FaultService running = service;
        if (running != null) {
            running.close();
        }
    }

    /** What the fault thread does. */
    private final class Faults implements FaultSink {
        @Override
        public void missing(long hostVirtual, int thread) throws IOException {
            GuestRegion region = regionAt(hostVirtual);
            if (region == null) {
                return; // Not our memory: the guest has registered it itself, and knows why.
            }
            long offset = region.pageOffset(hostVirtual);
            if (region.block().isHostPageReceived(offset)) {
                region.fillHole(offset);
                return;
            }
            long page = region.hostVirtual(offset);
            boolean toBeAsked = requests.add(page, thread, System.nanoTime());
            VarHandle.fullFence(); // In the table first, the mark looked at after.
            if (region.block().isHostPageReceived(offset)) {
                requests.remove(page);
                region.fillHole(offset);
            } else if (toBeAsked) {
                askOrLeave(page);
            }
        }

        /** A page that cannot be asked for stays in the table; {@link #resume} asks again. */
        private void askOrLeave(long page) {
            try {
                ask(page);
            } catch (IOException e) {
                if (!failureIsKnown.getAndSet(true)) {
                    log.atWarn()
                            .addKeyValue("session", session)
                            .setCause(e)
                            .log("pages cannot be asked for now; the guest waits for the next connection");
                }
            }
        }

        @Override
        public void givenUp(long startHostVirtual, long endHostVirtual) throws IOException {
            for (GuestRegion region : regions) {
                region.giveUp(startHostVirtual, endHostVirtual, requests);
            }
        }
    }
}
