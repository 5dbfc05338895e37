package io.migrationd.postcopy;

import io.migrationd.postcopy.memory.RamBlock;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Memory of a guest that nobody runs: pages are written to its blocks, zeroes are left as holes. Nobody faults, so this
 * asks for what is missing of its own accord, in ascending order, with up to 16 requests out: whatever arrives makes
 * room for the next. It has no thread; {@link #start}, {@link #resume} and {@link #place} ask on their caller's.
 */
public final class StoredIncomingMemory implements IncomingMemory {
    static final int WINDOW = 16;

    private static final Logger log = LoggerFactory.getLogger(StoredIncomingMemory.class);

    private final List<IncomingBlock> blocks;
    private volatile PageRequester requester = StoredIncomingMemory::refuse;

    // The rest is guarded by this.
    private final List<Request> asked = new ArrayList<>(WINDOW); // In the order in which they were made.
    private int nextBlock;
    private long nextPage; // In guest pages, behind the last one that was asked for.
    private boolean started;
    private boolean parked;
    private int connection;
    private long sent;

    private record Request(IncomingBlock block, long offset, long sinceNanos) {
        private boolean isFor(IncomingBlock other, long otherOffset) {
            return offset == otherOffset && block == other;
        }
    }

    private StoredIncomingMemory(List<IncomingBlock> blocks) {
        this.blocks = List.copyOf(blocks);
    }

    /** The blocks as they are: what is marked received is kept, all else is asked for. */
    public static StoredIncomingMemory of(List<IncomingBlock> blocks) {
        return new StoredIncomingMemory(blocks);
    }

    private static void refuse(String block, long start, int lengthBytes) throws IOException {
        throw new IOException("page %d of block %s is asked for before the start".formatted(start, block));
    }

    @Override
    public List<IncomingBlock> blocks() {
        return blocks;
    }

    /** Asks for the first pages. A request that fails ends the asking until {@link #resume}. */
    @Override
    public void start(PageRequester requester) {
        this.requester = requester;
        synchronized (this) {
            started = true;
        }
        askOrPark();
    }

    @Override
    public void place(IncomingBlock block, long offset, MemorySegment source, long sourceOffset) throws IOException {
        block.requireHostPage(offset);
        if (!block.isHostPageReceived(offset)) {
            int pageBytes = block.hostPageBytes();
            block.ram().writePages(offset, 1, pageBytes, source, sourceOffset, pageBytes);
            block.markHostPageReceived(offset);
        }
        arrived(block, offset);
    }

    @Override
    public void placeZero(IncomingBlock block, long offset) throws IOException {
        block.requireHostPage(offset);
        if (!block.isHostPageReceived(offset)) {
            RamBlock ram = block.ram();
            if (ram.nextData(offset) < offset + block.hostPageBytes()) {
                ram.punchHole(offset, block.hostPageBytes());
            }
            block.markHostPageReceived(offset);
        }
        arrived(block, offset);
    }

    private void arrived(IncomingBlock block, long offset) {
        if (forget(block, offset)) {
            askOrPark();
        }
    }

    /** Whether the page had been asked for. */
    private synchronized boolean forget(IncomingBlock block, long offset) {
        for (int i = 0; i < asked.size(); i++) {
            if (asked.get(i).isFor(block, offset)) {
                asked.remove(i);
                return true;
            }
        }
        return false;
    }

    /** That asking fails is no reason to place nothing: pages come without being asked for, too. */
    private void askOrPark() {
        int current = connection();
        try {
            askForMore();
        } catch (IOException e) {
            if (isParkedFor(current)) {
                log.atWarn().setCause(e).log("pages cannot be asked for until the next connection");
            }
        }
    }

    private synchronized int connection() {
        return connection;
    }

    /** Parks, and says whether we were not before; a failure of a connection that was replaced since says nothing. */
    private synchronized boolean isParkedFor(int failed) {
        boolean isNews = failed == connection && !parked;
        parked |= isNews;
        return isNews;
    }

    private void askForMore() throws IOException {
        for (Optional<Request> next = next(); next.isPresent(); next = next()) {
            ask(next.get());
        }
    }

    private void ask(Request request) throws IOException {
        IncomingBlock block = request.block();
        requester.requestPages(block.name(), request.offset(), block.hostPageBytes());
        synchronized (this) {
            sent++;
        }
    }

    /** The next page that is missing and was not asked for, which counts as asked for from now on. */
    private synchronized Optional<Request> next() {
        if (!started || parked || asked.size() == WINDOW) {
            return Optional.empty();
        }
        while (nextBlock < blocks.size()) {
            IncomingBlock block = blocks.get(nextBlock);
            long missing = block.received().nextMissing(nextPage);
            if (missing < block.received().pageCount()) {
                int pageBytes = block.hostPageBytes();
                long offset = Math.multiplyExact(missing, (long) block.targetPageBytes()) / pageBytes * pageBytes;
                nextPage = (offset + pageBytes) / block.targetPageBytes();
                Request request = new Request(block, offset, System.nanoTime());
                asked.add(request);
                return Optional.of(request);
            }
            nextBlock++;
            nextPage = 0;
        }
        return Optional.empty();
    }

    @Override
    public synchronized void park() {
        parked = true;
    }

    @Override
    public void resume() throws IOException {
        for (Request request : unanswered()) {
            ask(request);
        }
        synchronized (this) {
            parked = false;
        }
        try {
            askForMore();
        } catch (IOException e) {
            park();
            throw e;
        }
    }

    private synchronized List<Request> unanswered() {
        parked = true;
        connection++;
        return List.copyOf(asked);
    }

    @Override
    public boolean isComplete() {
        return blocks.stream().allMatch(block -> block.received().isComplete());
    }

    /** As the interface says; nothing was promised to anybody that would have to be taken back. */
    @Override
    public void finish() {
        blocks.forEach(IncomingBlock::requireComplete);
    }

    @Override
    public synchronized OptionalLong awaitedSinceNanos() {
        return asked.isEmpty()
                ? OptionalLong.empty()
                : OptionalLong.of(asked.getFirst().sinceNanos());
    }

    /** Nobody waits, so there are no times. */
    @Override
    public synchronized FaultReport report() {
        FaultReport none = FaultReport.NONE;
        return new FaultReport(
                sent,
                asked.size(),
                none.faults(),
                none.meanMicros(),
                none.p50Micros(),
                none.p99Micros(),
                none.maxMicros(),
                none.buckets(),
                none.blocktimeMillis(),
                none.threadBlocktimeMillis());
    }

    /** The blocks stay their owner's. */
    @Override
    public synchronized void close() {
        parked = true;
    }
}
