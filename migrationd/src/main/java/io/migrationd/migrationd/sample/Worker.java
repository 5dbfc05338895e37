package io.migrationd.migrationd.sample;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.migrationd.postcopy.os.ErrnoException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One thread of the guest and the pages that only it writes. Between two writes it verifies some pages: all of them as
 * fast as it can after it was loaded, then a few at a time for ever. Whatever else it is asked comes while it waits at
 * the gate.
 */
final class Worker implements AutoCloseable {
    private static final int SWEEP_PAGES = 32;
    private static final int WRITES_PER_SWEEP_STEP = 128;
    private static final long NANOS_PER_SECOND = 1_000_000_000;
    /** A worker that fell behind does not catch up for longer than that. */
    private static final long MAX_LAG_NANOS = NANOS_PER_SECOND / 10;

    private final int number;
    private final SampleMemory memory;
    private final Gate gate;
    private final SampleOptions options;
    private final Findings findings;
    private final long touchedPages;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment scratch = arena.allocate(PageImage.PAGE_BYTES, Long.BYTES);
    private final MemorySegment swept = arena.allocate((long) SWEEP_PAGES * PageImage.PAGE_BYTES, Long.BYTES);
    private final MemorySegment indexPage = arena.allocate(PageImage.PAGE_BYTES, Long.BYTES);
    private final Thread thread;

    /** The worker's own while it runs, anybody's while it waits at the gate. */
    private WorkerState state;

    private long corruptPage;
    private long corruptedPage = -1;
    private long sweepPosition;
    private long nextWriteNanos;
    private volatile long operations;
    private volatile long logDigest;
    private final AtomicLong verifiedPages = new AtomicLong();
    private final AtomicLong sweeps = new AtomicLong();

    Worker(int number, SampleMemory memory, Gate gate, SampleOptions options, Findings findings) {
        long chunks = memory.pageCount() / SampleMemory.CHUNK_PAGES;
        long firstChunk = chunks * number / options.threads();
        long endChunk = chunks * (number + 1) / options.threads();
        long pages = (endChunk - firstChunk) * SampleMemory.CHUNK_PAGES;
        this.number = number;
        this.memory = memory;
        this.gate = gate;
        this.options = options;
        this.findings = findings;
        this.state = new WorkerState(firstChunk * SampleMemory.CHUNK_PAGES, pages, options.seed());
        this.touchedPages = Math.max(1, Math.round(pages * (1 - options.zeroShare())));
        long corrupt = options.corruptPage();
        this.corruptPage = corrupt >= state.firstPage && corrupt < state.firstPage + pages ? corrupt : -1;
        this.thread = Thread.ofPlatform().name("sample-worker-" + number).unstarted(this::work);
    }

    void start() {
        thread.start();
    }

    private void work() {
        try {
            while (gate.pass()) {
                if ((sweeps.get() == 0 && isFilled()) || operations % WRITES_PER_SWEEP_STEP == 0) {
                    sweepStep();
                }
                if (isDue()) {
                    write(sparing(nextPage()));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (ErrnoException e) {
            throw new IllegalStateException("worker " + number + " cannot read its memory", e);
        }
    }

    /** True when the next write may happen now; waits for its time, unless there is something to verify. */
    private boolean isDue() throws InterruptedException {
        if (options.writesPerSecond() == 0 || !isFilled()) {
            return true;
        }
        long now = System.nanoTime();
        if (now < nextWriteNanos) {
            if (sweeps.get() > 0) {
                gate.rest(nextWriteNanos);
            }
            return false;
        }
        long interval = NANOS_PER_SECOND * options.threads() / options.writesPerSecond();
        nextWriteNanos = Math.max(nextWriteNanos, now - MAX_LAG_NANOS) + interval;
        return true;
    }

    private boolean isFilled() {
        return state.operations >= touchedPages;
    }

    /** Each page once in order, then by the pattern. */
    private long nextPage() {
        if (!isFilled()) {
            return state.firstPage + state.operations;
        }
        return state.firstPage
                + switch (options.pattern()) {
                    case SEQUENTIAL -> state.operations % touchedPages;
                    case RANDOM -> Long.remainderUnsigned(state.nextRandom(), touchedPages);
                    case HOT -> hotPage();
                };
    }

    /** A page that was corrupted on purpose is not healed by the next write. */
    private long sparing(long page) {
        if (page != corruptedPage) {
            return page;
        }
        return state.firstPage + (page - state.firstPage + 1) % touchedPages;
    }

    /** Nine of ten writes go to the first tenth. */
    private long hotPage() {
        boolean hot = Long.remainderUnsigned(state.nextRandom(), 10) < 9;
        long pages = hot ? Math.max(1, touchedPages / 10) : touchedPages;
        return Long.remainderUnsigned(state.nextRandom(), pages);
    }

    private void write(long page) {
        MemorySegment mapping = memory.mapping(page);
        long offset = memory.offset(page);
        long entry = page * Long.BYTES;
        long previous = memory.index().get(JAVA_LONG, entry);
        long found = mapping.get(JAVA_LONG, offset + PageImage.SEQUENCE);
        if (found != previous) {
            findings.add("page %d holds write %d, expected write %d, seen before the next write"
                    .formatted(page, found, previous));
        }
        state.sequence++;
        PageImage.compose(scratch, state.seed, page, state.sequence, number);
        MemorySegment.copy(scratch, 0, mapping, offset, PageImage.PAGE_BYTES);
        memory.index().set(JAVA_LONG, entry, state.sequence);
        state.written(page, previous);
        operations = state.operations;
        logDigest = state.logDigest;
        if (page == corruptPage) {
            corrupt(mapping, offset);
        }
    }

    /** For tests of whoever looks at our reports: once, on purpose. */
    private void corrupt(MemorySegment mapping, long offset) {
        long at = offset + PageImage.PAGE_BYTES / 2;
        mapping.set(JAVA_LONG, at, ~mapping.get(JAVA_LONG, at));
        corruptedPage = corruptPage;
        corruptPage = -1;
    }

    /** Verifies the next pages of a chunk; starts again at the end. */
    private void sweepStep() throws ErrnoException {
        long page = state.firstPage + sweepPosition;
        long chunkPage = page - page % SampleMemory.CHUNK_PAGES;
        memory.read(page, SWEEP_PAGES, swept);
        memory.readIndex(chunkPage, indexPage);
        for (int i = 0; i < SWEEP_PAGES; i++) {
            long expected = indexPage.get(JAVA_LONG, (page + i - chunkPage) * Long.BYTES);
            PageImage.problem(swept, (long) i * PageImage.PAGE_BYTES, page + i, expected)
                    .ifPresent(findings::add);
        }
        verifiedPages.addAndGet(SWEEP_PAGES);
        sweepPosition += SWEEP_PAGES;
        if (sweepPosition == state.pageCount) {
            sweepPosition = 0;
            sweeps.incrementAndGet();
        }
    }

    int chunkCount() {
        return state.chunkDigests.length;
    }

    /** While the gate is closed. */
    WorkerState state() {
        return state;
    }

    /** While the gate is closed: another life begins, and everything is to be verified. */
    void become(WorkerState other) {
        state = other;
        operations = other.operations;
        logDigest = other.logDigest;
        sweepPosition = 0;
        sweeps.set(0);
        verifiedPages.set(0);
    }

    /** While the gate is closed: is the index, which came with RAM, what the device state says? */
    void verifyIndex() throws ErrnoException {
        for (int chunk = 0; chunk < state.chunkDigests.length; chunk++) {
            long page = state.firstPage + (long) chunk * SampleMemory.CHUNK_PAGES;
            memory.readIndex(page, indexPage);
            long digest = 0;
            for (int i = 0; i < SampleMemory.CHUNK_PAGES; i++) {
                digest += PageImage.mix(page + i, indexPage.get(JAVA_LONG, (long) i * Long.BYTES));
            }
            if (digest != state.chunkDigests[chunk]) {
                findings.add("the index of pages %d to %d is not that of the last writes: a write was lost"
                        .formatted(page, page + SampleMemory.CHUNK_PAGES - 1));
            }
        }
    }

    long operations() {
        return operations;
    }

    /** Running hash of all writes, in order. */
    long logDigest() {
        return logDigest;
    }

    long verifiedPages() {
        return verifiedPages.get();
    }

    /** How often all pages were verified since this life began. */
    long sweeps() {
        return sweeps.get();
    }

    /** A dead worker can no longer promise anything. */
    Optional<String> failure() {
        return thread.getState() == Thread.State.TERMINATED
                ? Optional.of("worker " + number + " has died")
                : Optional.empty();
    }

    /** After {@link Gate#end}. */
    @Override
    public void close() {
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        arena.close();
    }
}
