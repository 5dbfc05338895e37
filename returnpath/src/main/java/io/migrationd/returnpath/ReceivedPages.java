package io.migrationd.returnpath;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Which pages of a block the destination has: page i is bit i mod 64 of word i div 64. It is as long as the wire has
 * it, so up to 63 bits behind the block's last page are padding. Immutable.
 */
public final class ReceivedPages {
    /** The largest bitmap that is read or written: a block of 32 TiB in pages of 4 KiB. */
    public static final int MAX_BYTES = 1 << 30;

    private final long[] words;

    private ReceivedPages(long[] words) {
        this.words = words;
    }

    /** A copy of {@code words}, at least one and at most {@link #MAX_BYTES}. */
    public static ReceivedPages ofWords(long... words) {
        return owning(words.clone());
    }

    /** Takes the array over: nobody may change it any more. */
    static ReceivedPages owning(long[] words) {
        if (words.length == 0 || words.length > MAX_BYTES / Long.BYTES) {
            throw new IllegalArgumentException("a bitmap of " + words.length + " words");
        }
        return new ReceivedPages(words);
    }

    /** How many bytes the bitmap of a block of {@code pageCount} pages takes on the wire: a multiple of 8. */
    public static long lengthFor(long pageCount) {
        return (pageCount + Long.SIZE - 1) / Long.SIZE * Long.BYTES;
    }

    /** Its length on the wire, a multiple of 8. */
    public int lengthBytes() {
        return words.length * Long.BYTES;
    }

    /** How many words of 64 pages it has. */
    public int wordCount() {
        return words.length;
    }

    /** The bits of the pages from {@code 64 * index} on, the first in the least significant place. */
    public long word(int index) {
        return words[index];
    }

    /** Whether the destination has the page. */
    public boolean isReceived(long page) {
        return (words[Math.toIntExact(page >>> 6)] & (1L << page)) != 0;
    }

    /** Puts {@code wordCount} words from {@code from} on as the wire has them: little-endian. */
    void put(ByteBuffer to, int from, int wordCount) {
        ByteBuffer littleEndian = to.slice().order(ByteOrder.LITTLE_ENDIAN);
        littleEndian.asLongBuffer().put(words, from, wordCount);
        to.position(to.position() + wordCount * Long.BYTES);
    }

    byte[] wireBytes() {
        byte[] bytes = new byte[lengthBytes()];
        put(ByteBuffer.wrap(bytes), 0, wordCount());
        return bytes;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ReceivedPages that && Arrays.equals(words, that.words);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(words);
    }

    @Override
    public String toString() {
        long received = 0;
        for (long word : words) {
            received += Long.bitCount(word);
        }
        return received + " of at most " + (long) words.length * Long.SIZE + " pages";
    }
}
