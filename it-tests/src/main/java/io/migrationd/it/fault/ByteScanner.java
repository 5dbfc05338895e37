package io.migrationd.it.fault;

import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Follows one direction of one connection, in whatever pieces it comes, and says where places lie. What it does not
 * understand ends it: then it finds nothing more and is no hindrance.
 */
abstract class ByteScanner {
    private static final ByteBuffer NOTHING = ByteBuffer.allocate(0);

    /** What is done with the bytes that were asked for. */
    @FunctionalInterface
    protected interface Step {
        void take(ByteBuffer bytes);
    }

    private final PageTally tally;
    private final Consumer<Mark> found;
    private ByteBuffer wanted = NOTHING;
    private long toSkip;
    private Step next = _ -> {};
    private boolean lost;
    private long offset;

    ByteScanner(PageTally tally, Consumer<Mark> found) {
        this.tally = tally;
        this.found = found;
    }

    /** Takes all of {@code bytes}. */
    final void scan(ByteBuffer bytes) {
        while (bytes.hasRemaining() && !lost) {
            if (toSkip > 0) {
                skipSome(bytes);
            } else {
                takeSome(bytes);
            }
            if (toSkip == 0 && !wanted.hasRemaining()) {
                next.take(wanted.flip());
            }
        }
    }

    private void skipSome(ByteBuffer bytes) {
        int count = (int) Math.min(toSkip, bytes.remaining());
        bytes.position(bytes.position() + count);
        toSkip -= count;
        offset += count;
    }

    private void takeSome(ByteBuffer bytes) {
        int count = Math.min(wanted.remaining(), bytes.remaining());
        wanted.put(bytes.slice(bytes.position(), count));
        bytes.position(bytes.position() + count);
        offset += count;
    }

    /** Asks for the next {@code count} bytes, at least one. The last thing that a step does, like the other two. */
    protected final void read(int count, Step then) {
        wanted = ByteBuffer.allocate(count);
        toSkip = 0;
        next = then;
    }

    /** Goes on behind the next {@code count} bytes, at least one. */
    protected final void skip(long count, Runnable then) {
        wanted = NOTHING;
        toSkip = count;
        next = _ -> then.run();
    }

    /** There is nothing more to be found. */
    protected final void stop() {
        lost = true;
    }

    /** Bytes before the next one. */
    protected final long offset() {
        return offset;
    }

    protected final PageTally tally() {
        return tally;
    }

    /** A place lies here. */
    protected final void mark(Place place) {
        markAt(place, offset);
    }

    /** A place lies there; in the order of the stream. */
    protected final void markAt(Place place, long where) {
        found.accept(new Mark(place, tally.next(place), where));
    }

    /** As {@link #markAt}, unless there is such a place on this link already. */
    protected final void markOnce(Place place, long where) {
        if (!tally.has(place)) {
            markAt(place, where);
        }
    }
}
