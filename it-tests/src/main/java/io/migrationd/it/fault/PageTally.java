package io.migrationd.it.fault;

import java.util.EnumMap;
import java.util.Map;

/** What the connections of one link have in common: how many pages there are, and which places have been found. */
final class PageTally {
    private final Map<Place, Integer> found = new EnumMap<>(Place.class);
    private long dirtyPages;
    private long sentPages;

    /** Counts a place. */
    int next(Place place) {
        return found.merge(place, 1, Integer::sum);
    }

    boolean has(Place place) {
        return found.containsKey(place);
    }

    void dirty(long pages) {
        dirtyPages += pages;
    }

    long dirtyPages() {
        return dirtyPages;
    }

    /** Counts a page of postcopy and returns how many there are now. */
    long sent() {
        return ++sentPages;
    }
}
