package io.migrationd.migrationd.journal;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a restarted daemon must know to go on with a postcopy migration.
 *
 * @param role {@code source} or {@code destination}
 * @param guest the name on this host
 * @param uuid its identity, {@code null} without
 * @param uri where the source dials, or where the destination listens (with the real port)
 * @param capabilities QEMU's names
 * @param phase {@code stopping}, {@code under-way}, {@code never-ran}, {@code complete}
 * @param paused at the source: an operator had paused the guest, so that it must not run if it comes back
 * @param recoveryCount how often its connection has broken so far
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
public record MigrationRecord(
        String role,
        String guest,
        @Nullable String uuid,
        String uri,
        List<String> capabilities,
        String phase,
        boolean paused,
        long recoveryCount) {
    public static final String SOURCE = "source";
    public static final String DESTINATION = "destination";
    /** The source has stopped its guest for the switchover and has not given it away. */
    public static final String STOPPING = "stopping";

    public static final String UNDER_WAY = "under-way";
    public static final String NEVER_RAN = "never-ran";
    public static final String COMPLETE = "complete";

    /** Copies the list. */
    public MigrationRecord {
        capabilities = List.copyOf(capabilities);
    }

    /** The same migration in another phase. */
    public MigrationRecord with(String newPhase) {
        return new MigrationRecord(role, guest, uuid, uri, capabilities, newPhase, paused, recoveryCount);
    }

    /** The same migration with another peer or address. */
    public MigrationRecord movedTo(String newUri) {
        return new MigrationRecord(role, guest, uuid, newUri, capabilities, phase, paused, recoveryCount);
    }

    /** The same migration, whose connection has broken that often. */
    public MigrationRecord brokenTimes(long count) {
        return new MigrationRecord(role, guest, uuid, uri, capabilities, phase, paused, count);
    }
}
