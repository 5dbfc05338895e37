package io.migrationd.migrationd.relay.tap;

import java.util.ArrayList;
import java.util.List;

/**
 * Finds out where passes end, see {@link Pass}. Asked once per page, so that most of its answers are one comparison.
 */
final class PassCounter {
    /** More are not kept one by one: a move of that many passes is told by its totals. */
    static final int MAX_PASSES = 4096;

    private final TapEvents events;
    private final List<Pass> passes = new ArrayList<>();
    private boolean running;
    private boolean last;
    private int number;
    private int lastBlock;
    private long lastAddress = -1;
    private long startOffset;
    private PageCounts startPages = PageCounts.NONE;
    private long startBytes;

    /** One that has not begun yet. */
    PassCounter(TapEvents events) {
        this.events = events;
    }

    /** The first PART of RAM begins the first pass. */
    void begin(RamRecords ram, long offset) {
        running = true;
        number = 1;
        open(ram, offset);
    }

    /** True if a page there cannot belong to the pass that goes on. Remembers the page. */
    boolean fallsBack(int block, long address) {
        boolean back = block == lastBlock ? address <= lastAddress : block < lastBlock;
        lastBlock = block;
        lastAddress = address;
        return back;
    }

    /** The page of a record that begins at {@code offset} has fallen back. */
    void wrapped(RamRecords ram, long offset) {
        if (running && !last) {
            next(ram, offset);
        }
    }

    /** A mark that all multifd channels have been waited for. */
    void flushed(RamRecords ram, long offset) {
        if (running && !last) {
            next(ram, offset);
            lastBlock = 0;
            lastAddress = -1;
        }
    }

    /** The guest has stopped; what comes is the last pass. */
    void lastBegins(RamRecords ram, long offset) {
        if (running && !last) {
            next(ram, offset);
            last = true;
        }
    }

    /** The last byte of RAM, or the start of postcopy. */
    void stop(RamRecords ram, long offset) {
        if (running) {
            close(ram);
            running = false;
        }
    }

    private void next(RamRecords ram, long offset) {
        close(ram);
        number++;
        open(ram, offset);
    }

    private void open(RamRecords ram, long offset) {
        startOffset = offset;
        startPages = ram.pages();
        startBytes = ram.recordBytes();
    }

    private void close(RamRecords ram) {
        Pass pass = current(ram);
        if (passes.size() < MAX_PASSES) {
            passes.add(pass);
        }
        events.passEnded(pass);
    }

    private Pass current(RamRecords ram) {
        return new Pass(number, ram.pages().minus(startPages), ram.recordBytes() - startBytes, startOffset, last);
    }

    /** The passes so far, the one that goes on included. */
    List<Pass> passes(RamRecords ram) {
        List<Pass> all = new ArrayList<>(passes);
        if (running) {
            all.add(current(ram));
        }
        return List.copyOf(all);
    }
}
