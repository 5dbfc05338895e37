package io.migrationd.protocol.inspect;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/** Where the inspector is and what it has found so far. */
final class Trace {
    private static final int MAX_NOTES = 50;

    private final InspectSink sink;
    private final Totals totals = new Totals();
    private final Deque<Object> places = new ArrayDeque<>();
    private int depth;
    private int notes;

    Trace(InspectSink sink) {
        this.sink = sink;
    }

    Totals totals() {
        return totals;
    }

    /**
     * What follows lies inside of {@code place}, whose text is asked for on failure only. Not left on failure, so that
     * the failure can say where it was.
     */
    void enter(Object place) {
        places.push(place);
    }

    void leave() {
        places.pop();
    }

    /** What follows is shown below what was shown last. */
    void deeper() {
        depth++;
    }

    void higher() {
        depth--;
    }

    void item(long offset, String what, Map<String, ?> details) throws IOException {
        sink.accept(new InspectItem(offset, depth, what, new LinkedHashMap<>(details)));
    }

    void item(long offset, String what) throws IOException {
        item(offset, what, Map.of());
    }

    /** Something worth a line that is no fault. A hostile capture could have millions: only the first are shown. */
    void note(long offset, String text) throws IOException {
        totals.add("notes", 1);
        if (notes++ < MAX_NOTES) {
            item(offset, "note", Map.of("text", text));
        }
    }

    /** The innermost place and all that it lies in. */
    String place() {
        StringBuilder text = new StringBuilder();
        for (Iterator<Object> it = places.iterator(); it.hasNext(); ) {
            text.append(it.next()).append(it.hasNext() ? " in " : "");
        }
        return text.isEmpty() ? "the stream" : text.toString();
    }
}
