package io.migrationd.protocol.inspect;

import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What was found in one section body: shown after its header, also when the body turns out to be broken. */
final class BodyReport {
    private record Child(long offset, String what, Map<String, ?> details) {}

    private final Map<String, Object> details = new LinkedHashMap<>();
    private final Totals counts = new Totals();
    private final List<Child> children = new ArrayList<>();

    void count(String name) {
        counts.add(name, 1);
    }

    void count(String name, long amount) {
        counts.add(name, amount);
    }

    void detail(String name, Object value) {
        details.put(name, value);
    }

    void child(long offset, String what, Map<String, ?> childDetails) {
        children.add(new Child(offset, what, childDetails));
    }

    Totals counts() {
        return counts;
    }

    Map<String, Object> details() {
        Map<String, Object> all = new LinkedHashMap<>(details);
        all.putAll(counts.asMap());
        return all;
    }

    void showChildren(Trace trace) throws IOException {
        trace.deeper();
        for (Child child : children) {
            trace.item(child.offset(), child.what(), child.details());
        }
        trace.higher();
    }
}
