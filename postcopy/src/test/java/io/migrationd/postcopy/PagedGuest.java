package io.migrationd.postcopy;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.abort;

import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.SharedMapping;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.NativeCopy;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * A guest whose threads are ours: they touch its memory by {@link NativeCopy} only, so that a fault stops one thread
 * and not the JVM. It is also the source that is asked for pages. Closing it ends every wait.
 */
final class PagedGuest implements AutoCloseable, PageRequester {
    static final int PAGE = 4096;
    static final String NAME = "ram";
    static final long FEATURES = Userfaultfd.FEATURE_WP_ASYNC
            | Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM
            | Userfaultfd.FEATURE_WP_UNPOPULATED
            | Userfaultfd.FEATURE_PAGEFAULT_FLAG_WP
            | Userfaultfd.FEATURE_THREAD_ID;
    private static final long PATIENCE_SECONDS = 20;

    /** What the source was asked for. */
    record Asked(String block, long start, int lengthBytes) {}

    final FdRamBlock ram;
    final SharedMapping mapping;
    final Userfaultfd userfaultfd;
    final IncomingBlock block;
    final BlockingQueue<Asked> asked = new LinkedBlockingQueue<>();
    volatile boolean connected = true;
    /** Requests that found no connection. */
    final AtomicInteger refused = new AtomicInteger();

    private final Arena arena = Arena.ofShared();
    private final ExecutorService threads = Executors.newCachedThreadPool(
            Thread.ofPlatform().daemon().name("test-guest-", 0).factory());
    private final int pageBytes;

    @SuppressWarnings("MustBeClosedChecker") // The arena is closed in close.
    private PagedGuest(FdRamBlock ram, long features) throws ErrnoException {
        this.ram = ram;
        this.pageBytes = ram.pageSizeBytes();
        this.userfaultfd = open();
        this.userfaultfd.api(features);
        this.mapping = map(ram);
        this.userfaultfd.register(mapping.segment().address(), ram.lengthBytes(), Userfaultfd.REGISTER_WP);
        this.block = new IncomingBlock(ram, PAGE);
    }

    static PagedGuest of(int pages) throws ErrnoException {
        return of(pages, FEATURES);
    }

    static PagedGuest of(int pages, long features) throws ErrnoException {
        return new PagedGuest(FdRamBlock.createMemory(NAME, (long) pages * PAGE), features);
    }

    static PagedGuest ofHugePages(int pages) throws ErrnoException {
        return new PagedGuest(FdRamBlock.createHugeMemory(NAME, (long) pages << 21), FEATURES);
    }

    private static Userfaultfd open() throws ErrnoException {
        try {
            return Userfaultfd.open();
        } catch (ErrnoException e) {
            return abort("this host gives us no userfaultfd: " + e.getMessage());
        }
    }

    private static SharedMapping map(FdRamBlock ram) throws ErrnoException {
        try {
            return SharedMapping.of(ram);
        } catch (ErrnoException e) {
            return abort("no huge pages are reserved on this host (vm.nr_hugepages): " + e.getMessage());
        }
    }

    /** What serves its faults; not started. */
    UffdIncomingMemory memory() {
        return UffdIncomingMemory.of("7", List.of(block), List.of(mapping.range(NAME)), userfaultfd);
    }

    /** A new view of the same memory, as a restarted daemon has it. */
    IncomingBlock anotherBlock() {
        return new IncomingBlock(ram, PAGE);
    }

    @Override
    public void requestPages(String name, long start, int lengthBytes) throws IOException {
        if (!connected) {
            refused.incrementAndGet();
            throw new IOException("no connection");
        }
        asked.add(new Asked(name, start, lengthBytes));
    }

    /** The next request. */
    Asked nextAsked() throws InterruptedException {
        Asked next = asked.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertThat(next).as("a request within %d s", PATIENCE_SECONDS).isNotNull();
        return next;
    }

    /** The content of a page that the source has: its number and a salt are in every word. */
    MemorySegment page(long number, long salt) {
        MemorySegment page = arena.allocate(pageBytes, PAGE);
        for (long at = 0; at < pageBytes; at += Long.BYTES) {
            page.set(JAVA_LONG, at, word(number, salt, at));
        }
        return page;
    }

    static long word(long number, long salt, long at) {
        return (number * 0x9E3779B97F4A7C15L) ^ (salt * 0xC2B2AE3D27D4EB4FL) ^ at;
    }

    /** A thread of the guest reads a page; the future says what it saw. */
    Future<long[]> read(long page) {
        return threads.submit(() -> readHere(page));
    }

    /** Reads a page on the calling thread, which then is one of the guest's. */
    long[] readHere(long page) {
        try (Arena own = Arena.ofConfined()) {
            MemorySegment seen = own.allocate(pageBytes, PAGE);
            NativeCopy.copy(mapping.segment(), page * pageBytes, seen, 0, pageBytes);
            return seen.toArray(JAVA_LONG);
        }
    }

    /** A thread of the guest writes one word of a page. */
    Future<?> write(long page, long at, long value) {
        return threads.submit(() -> {
            try (Arena own = Arena.ofConfined()) {
                MemorySegment word = own.allocate(JAVA_LONG);
                word.set(JAVA_LONG, 0, value);
                NativeCopy.copy(word, 0, mapping.segment(), page * pageBytes + at, Long.BYTES);
            }
        });
    }

    /** Runs something else as a thread of the guest. */
    <T> Future<T> run(java.util.concurrent.Callable<T> body) {
        return threads.submit(body);
    }

    /** What is in the file, read past all mappings. */
    long wordInFile(long page, long at) throws ErrnoException {
        try (Arena own = Arena.ofConfined()) {
            MemorySegment whole = own.allocate(pageBytes, PAGE);
            ram.readPages(page * pageBytes, 1, pageBytes, whole, 0, pageBytes);
            return whole.get(JAVA_LONG, at);
        }
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE_SECONDS, TimeUnit.SECONDS);
    }

    /** Whether the words are those of that page. */
    static boolean isPage(long[] words, long number, long salt) {
        for (int i = 0; i < words.length; i++) {
            if (words[i] != word(number, salt, (long) i * Long.BYTES)) {
                return false;
            }
        }
        return true;
    }

    /** Waits until the condition holds. */
    static void await(String what, java.util.function.BooleanSupplier condition) {
        long giveUp = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > giveUp) {
                throw new AssertionError("not within " + PATIENCE_SECONDS + " s: " + what);
            }
            Thread.onSpinWait();
        }
    }

    @Override
    public void close() {
        userfaultfd.close(); // The last copy: whoever still waits goes on, with zeroes.
        threads.shutdown();
        threads.close();
        mapping.close();
        ram.close();
        arena.close();
    }
}
