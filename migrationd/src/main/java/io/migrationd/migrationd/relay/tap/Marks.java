package io.migrationd.migrationd.relay.tap;

import java.util.Arrays;
import java.util.OptionalLong;

/** First place and count of every mark. */
final class Marks {
    private static final long ABSENT = -1;

    private final long[] first = new long[Mark.values().length];
    private final long[] counts = new long[first.length];
    private final TapEvents events;

    Marks(TapEvents events) {
        this.events = events;
        Arrays.fill(first, ABSENT);
    }

    void set(Mark mark, long offset, long value) {
        int index = mark.ordinal();
        if (first[index] == ABSENT) {
            first[index] = offset;
        }
        counts[index]++;
        events.mark(mark, offset, value);
    }

    /** The same for a mark that happens once; later ones are not news. */
    void setOnce(Mark mark, long offset) {
        if (first[mark.ordinal()] == ABSENT) {
            set(mark, offset, 0);
        }
    }

    OptionalLong first(Mark mark) {
        long offset = first[mark.ordinal()];
        return offset == ABSENT ? OptionalLong.empty() : OptionalLong.of(offset);
    }

    boolean has(Mark mark) {
        return counts[mark.ordinal()] > 0;
    }

    long count(Mark mark) {
        return counts[mark.ordinal()];
    }
}
