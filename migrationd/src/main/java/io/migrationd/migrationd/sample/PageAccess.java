package io.migrationd.migrationd.sample;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.migrationd.postcopy.os.NativeCopy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * How a worker reads and writes guest memory, and nobody else does: by copies in native code, to and from memory of its
 * own. Where a page has not arrived yet the copy waits, and with it this thread; the JVM goes on (docs/adr/0007).
 */
final class PageAccess implements AutoCloseable {
    private final SampleMemory memory;
    private final long firstPage;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment word = arena.allocate(JAVA_LONG);
    /** Pages that this life has not touched yet; {@code null} when nobody wants to know any more. */
    private @Nullable BitSet untouched;

    private volatile TouchTimes touchTimes = new TouchTimes();

    PageAccess(SampleMemory memory, long firstPage) {
        this.memory = memory;
        this.firstPage = firstPage;
    }

    /** Copies a whole page; nothing is between its first byte and its last that another reader could see. */
    void write(long page, MemorySegment from) {
        NativeCopy.copy(from, 0, memory.mapping(page), memory.offset(page), PageImage.PAGE_BYTES);
    }

    void read(long page, MemorySegment to) {
        timed(page, to, 0, PageImage.PAGE_BYTES);
    }

    /** The sequence number that stands in the page. */
    long sequence(long page) {
        timed(page, word, PageImage.SEQUENCE, Long.BYTES);
        return word.get(JAVA_LONG, 0);
    }

    /** Flips a word in the middle of the page. */
    void spoil(long page) {
        long at = memory.offset(page) + PageImage.PAGE_BYTES / 2;
        NativeCopy.copy(memory.mapping(page), at, word, 0, Long.BYTES);
        word.set(JAVA_LONG, 0, ~word.get(JAVA_LONG, 0));
        NativeCopy.copy(word, 0, memory.mapping(page), at, Long.BYTES);
    }

    /** What the index says of the page's last write; 0 for none. */
    long lastWrite(long page) {
        NativeCopy.copy(memory.index(), page * Long.BYTES, word, 0, Long.BYTES);
        return word.get(JAVA_LONG, 0);
    }

    void recordWrite(long page, long sequence) {
        word.set(JAVA_LONG, 0, sequence);
        NativeCopy.copy(word, 0, memory.index(), page * Long.BYTES, Long.BYTES);
    }

    /** The page of the index with the entries of the chunk that begins with {@code chunkPage}. */
    void readIndex(long chunkPage, MemorySegment to) {
        NativeCopy.copy(memory.index(), chunkPage * Long.BYTES, to, 0, PageImage.PAGE_BYTES);
    }

    /** From now on the first touch of each page is timed. */
    void timeFirstTouches(long pageCount) {
        BitSet all = new BitSet();
        all.set(0, Math.toIntExact(pageCount));
        untouched = all;
        touchTimes = new TouchTimes();
    }

    /** Every page was touched. */
    void allTouched() {
        untouched = null;
    }

    TouchTimes touchTimes() {
        return touchTimes;
    }

    private void timed(long page, MemorySegment to, long offset, long lengthBytes) {
        BitSet waiting = untouched;
        int bit = (int) (page - firstPage);
        if (waiting == null || !waiting.get(bit)) {
            NativeCopy.copy(memory.mapping(page), memory.offset(page) + offset, to, 0, lengthBytes);
            return;
        }
        long before = System.nanoTime();
        NativeCopy.copy(memory.mapping(page), memory.offset(page) + offset, to, 0, lengthBytes);
        touchTimes.add(System.nanoTime() - before);
        waiting.clear(bit);
    }

    @Override
    public void close() {
        arena.close();
    }
}
