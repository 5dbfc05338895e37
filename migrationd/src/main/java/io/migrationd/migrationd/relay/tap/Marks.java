package io.migrationd.migrationd.relay.tap;

import java.util.EnumMap;
import java.util.Map;
import java.util.OptionalLong;

/** First place and count of every mark. */
final class Marks {
    private final Map<Mark, Long> first = new EnumMap<>(Mark.class);
    private final Map<Mark, Long> counts = new EnumMap<>(Mark.class);
    private final TapEvents events;

    Marks(TapEvents events) {
        this.events = events;
    }

    void set(Mark mark, long offset, long value) {
        first.putIfAbsent(mark, offset);
        counts.merge(mark, 1L, Long::sum);
        events.mark(mark, offset, value);
    }

    /** The same for a mark that happens once; later ones are not news. */
    void setOnce(Mark mark, long offset) {
        if (!has(mark)) {
            set(mark, offset, 0);
        }
    }

    OptionalLong first(Mark mark) {
        Long offset = first.get(mark);
        return offset == null ? OptionalLong.empty() : OptionalLong.of(offset);
    }

    boolean has(Mark mark) {
        return counts.containsKey(mark);
    }

    long count(Mark mark) {
        return counts.getOrDefault(mark, 0L);
    }
}
