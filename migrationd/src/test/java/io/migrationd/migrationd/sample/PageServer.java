package io.migrationd.migrationd.sample;

import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.RamBlock;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.atomic.AtomicInteger;

/** The source of a postcopy in a test: a thread that answers requests for pages from the memory of a stopped guest. */
final class PageServer implements AutoCloseable {
    private static final int PAGE = PageImage.PAGE_BYTES;
    private static final Request END = new Request("", 0);

    private final ProcessGuest source;
    private final IncomingMemory memory;
    private final BlockingQueue<Request> requests = new LinkedBlockingQueue<>();
    private final AtomicInteger served = new AtomicInteger();
    private final Arena arena = Arena.ofShared();
    private final MemorySegment page = arena.allocate(PAGE, PAGE);
    private final Thread thread = Thread.ofPlatform().name("page-server").unstarted(this::serve);

    private record Request(String block, long offset) {}

    PageServer(ProcessGuest source, IncomingMemory memory) {
        this.source = source;
        this.memory = memory;
    }

    /** Takes a request in; it is answered from {@link #start} on. */
    void request(String block, long offset, int lengthBytes) {
        requests.add(new Request(block, offset));
    }

    void start() {
        thread.start();
    }

    private void serve() {
        try {
            for (Request next = requests.take(); !next.equals(END); next = requests.take()) {
                place(memory.block(next.block()).orElseThrow(), next.offset());
                served.incrementAndGet();
            }
        } catch (IOException | InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private synchronized void place(IncomingBlock block, long offset) throws IOException {
        RamBlock from = source.ram().stream()
                .filter(ram -> ram.name().equals(block.name()))
                .findFirst()
                .orElseThrow();
        from.readPages(offset, 1, PAGE, page, 0, PAGE);
        memory.place(block, offset, page, 0);
    }

    /** Places what nobody has asked for. */
    void placeRest() throws IOException {
        for (IncomingBlock block : memory.blocks()) {
            for (long missing = block.received().nextMissing(0);
                    missing < block.received().pageCount();
                    missing = block.received().nextMissing(missing)) {
                place(block, missing * PAGE);
            }
        }
    }

    /** How many requests were answered. */
    int served() {
        return served.get();
    }

    int waiting() {
        return requests.size();
    }

    @Override
    public void close() {
        requests.add(END);
        try {
            thread.join();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        arena.close();
    }
}
