package io.migrationd.migrationd.session;

import java.util.Map;

/**
 * Where engines announce what happened: MIGRATION {status}, MIGRATION_PASS {pass}, STOP, RESUME and our own. Called
 * from engine threads; must not block and must not throw.
 */
@FunctionalInterface
public interface EventSink {
    /**
     * Announces one event of one guest. Values of {@code data} are strings, numbers, booleans, lists and maps of these.
     */
    void event(String guest, String name, Map<String, Object> data);
}
