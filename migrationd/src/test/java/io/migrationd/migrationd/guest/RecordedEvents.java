package io.migrationd.migrationd.guest;

import io.migrationd.migrationd.session.EventSink;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;

/** What the engines announced, without the passes: {@code status setup}, {@code STOP}. */
public final class RecordedEvents implements EventSink {
    private final List<String> events = new CopyOnWriteArrayList<>();

    @Override
    public void event(String guest, String name, Map<String, Object> data) {
        if (name.equals("MIGRATION")) {
            events.add("status " + data.get("status"));
        } else if (!name.equals("MIGRATION_PASS")) {
            events.add(name);
        }
    }

    /** All so far. */
    public List<String> all() {
        return List.copyOf(events);
    }
}
