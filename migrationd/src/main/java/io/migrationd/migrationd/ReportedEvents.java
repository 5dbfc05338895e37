package io.migrationd.migrationd;

import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationInfo;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Supplier;

/** Passes one migration's events on, and its last look to who writes the report when it has ended. */
final class ReportedEvents implements EventSink {
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");

    private final EventSink next;
    private final Supplier<MigrationInfo> info;
    private final Consumer<MigrationInfo> ended;

    ReportedEvents(EventSink next, Supplier<MigrationInfo> info, Consumer<MigrationInfo> ended) {
        this.next = next;
        this.info = info;
        this.ended = ended;
    }

    @Override
    public void event(String guest, String name, Map<String, Object> data) {
        next.event(guest, name, data);
        if (name.equals("MIGRATION") && ENDS.contains(String.valueOf(data.get("status")))) {
            ended.accept(info.get());
        }
    }
}
