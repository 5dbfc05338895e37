package io.migrationd.migrationd.sample;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.migrationd.migrationd.sample.SampleOptions.Touch;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One thread of the guest and the pages that only it touches. After it was loaded it verifies its part of the index,
 * and then all of its pages as fast as it can; later a few at a time for ever. Whatever else it is asked comes while it
 * waits at the gate.
 */
final class Worker implements AutoCloseable {
    private static final int SWEEP_PAGES = 32;
    private static final int WRITES_PER_SWEEP_STEP = 128;
    private static final long NANOS_PER_SECOND = 1_000_000_000;
    /** A worker that fell behind does not catch up for longer than that. */
    private static final long MAX_LAG_NANOS = NANOS_PER_SECOND / 10;

    private final int number;
    private final Gate gate;
    private final SampleOptions options;
    private final Findings findings;
    private final long touchedPages;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment scratch = arena.allocate(PageImage.PAGE_BYTES, Long.BYTES);
    private final PageAccess access;
    private final PageOrder firstSweep;
    private final Thread thread;

    /** The worker's own while it runs, anybody's while it waits at the gate. */
    private WorkerState state;

    /** Chunks whose part of the index is verified: all of them, unless the worker has just been loaded. */
    private int verifiedChunks;

    private boolean wasLoaded;
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
        this.gate = gate;
        this.options = options;
        this.findings = findings;
        this.state = new WorkerState(firstChunk * SampleMemory.CHUNK_PAGES, pages, options.seed());
        this.verifiedChunks = chunkCount();
        this.access = new PageAccess(memory, state.firstPage);
        this.firstSweep = new PageOrder(options.touch(), pages, options.seed());
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
                if (verifiedChunks < chunkCount()) {
                    verifyIndex(verifiedChunks++);
                    continue;
                }
                if (mustSweep() || operations % WRITES_PER_SWEEP_STEP == 0) {
                    sweepStep();
                }
                if (isDue()) {
                    write(sparing(nextPage()));
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private boolean mustSweep() {
        return options.touch() != Touch.NONE && sweeps.get() == 0 && isFilled();
    }

    /** True when the next write may happen now; waits for its time, unless there is something to verify. */
    private boolean isDue() throws InterruptedException {
        if (options.writesPerSecond() == 0 || !isFilled()) {
            return true;
        }
        long now = System.nanoTime();
        if (now < nextWriteNanos) {
            if (!mustSweep()) {
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
        long previous = access.lastWrite(page);
        long found = access.sequence(page);
        if (found != previous) {
            findings.add("page %d holds write %d, expected write %d, seen before the next write"
                    .formatted(page, found, previous));
        }
        state.sequence++;
        PageImage.compose(scratch, state.seed, page, state.sequence, number);
        access.write(page, scratch);
        access.recordWrite(page, state.sequence);
        state.written(page, previous);
        operations = state.operations;
        logDigest = state.logDigest;
        if (page == corruptPage) {
            // For tests of whoever looks at our reports: once, on purpose.
            access.spoil(page);
            corruptedPage = corruptPage;
            corruptPage = -1;
        }
    }

    /** Verifies the next pages; starts again at the end. */
    private void sweepStep() {
        if (options.touch() == Touch.NONE) {
            return;
        }
        boolean first = sweeps.get() == 0;
        for (int i = 0; i < SWEEP_PAGES; i++) {
            long position = sweepPosition + i;
            verify(state.firstPage + (first ? firstSweep.at(position) : position), first && wasLoaded);
        }
        verifiedPages.addAndGet(SWEEP_PAGES);
        sweepPosition += SWEEP_PAGES;
        if (sweepPosition == state.pageCount) {
            sweepPosition = 0;
            sweeps.incrementAndGet();
            access.allTouched();
        }
    }

    /** A page that was never written is looked at where it may have arrived wrong; elsewhere it stays a hole. */
    private void verify(long page, boolean arrived) {
        long expected = access.lastWrite(page);
        if (expected != 0 || arrived) {
            access.read(page, scratch);
            PageImage.problem(scratch, 0, page, expected).ifPresent(findings::add);
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
        verifiedChunks = 0;
        wasLoaded = true;
        sweepPosition = 0;
        sweeps.set(0);
        verifiedPages.set(0);
        access.timeFirstTouches(state.pageCount);
    }

    /** Is the index, which came with RAM, what the device state says? */
    private void verifyIndex(int chunk) {
        long page = state.firstPage + (long) chunk * SampleMemory.CHUNK_PAGES;
        access.readIndex(page, scratch);
        long digest = 0;
        for (int i = 0; i < SampleMemory.CHUNK_PAGES; i++) {
            digest += PageImage.mix(page + i, scratch.get(JAVA_LONG, (long) i * Long.BYTES));
        }
        if (digest != state.chunkDigests[chunk]) {
            findings.add("the index of pages %d to %d is not that of the last writes: a write was lost"
                    .formatted(page, page + SampleMemory.CHUNK_PAGES - 1));
        }
    }

    long operations() {
        return operations;
    }

    /** Running hash of all writes, in order. */
    long logDigest() {
        return logDigest;
    }

    /** How long the first look at each page took since this life began. */
    TouchTimes touchTimes() {
        return access.touchTimes();
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
        access.close();
        arena.close();
    }
}
