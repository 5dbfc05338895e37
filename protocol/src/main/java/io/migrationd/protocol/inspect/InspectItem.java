package io.migrationd.protocol.inspect;

import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * One thing that was found, for example an element of the stream or a block of its block list.
 *
 * @param offset in the file
 * @param depth 0 for the elements of the stream, more for what they contain
 * @param what kind of thing
 * @param details in the order they are to be shown: strings, numbers and booleans
 */
public record InspectItem(long offset, int depth, String what, Map<String, Object> details) {
    /** Copies the map and keeps its order. */
    public InspectItem {
        details = Collections.unmodifiableMap(new LinkedHashMap<>(details));
    }
}
