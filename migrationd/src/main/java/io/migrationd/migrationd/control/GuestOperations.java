package io.migrationd.migrationd.control;

import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What a control socket can ask of one guest. Every call returns quickly: work goes on in the engines' own threads and
 * shows in {@link #queryMigrate()} and events. Calls may come from any thread.
 */
public interface GuestOperations {
    /** A line of {@code guest list}. */
    GuestView view();

    /** QMP migrate: starts an outgoing migration to {@code tcp:HOST:PORT} or {@code unix:PATH}. */
    void migrate(String uri) throws CommandException;

    /**
     * QMP migrate-incoming: starts to listen at {@code uri}; port 0 is chosen by the kernel and shown by query-migrate.
     */
    void migrateIncoming(String uri) throws CommandException;

    /** QMP migrate with {@code resume}: a paused postcopy goes on over a new connection to {@code uri}. */
    void migrateResume(String uri) throws CommandException;

    /** QMP migrate-start-postcopy: goes over to postcopy at the next chance. */
    void migrateStartPostcopy() throws CommandException;

    /** QMP migrate-pause: breaks the connection of a postcopy on purpose; either end. */
    void migratePause() throws CommandException;

    /** QMP migrate-recover: the destination of a paused postcopy listens at {@code uri} instead. */
    void migrateRecover(String uri) throws CommandException;

    /** QMP migrate_cancel: returns at once; no effect when nothing runs. */
    void migrateCancel() throws CommandException;

    /** QMP migrate-continue. {@code state} must be the current status. */
    void migrateContinue(String state) throws CommandException;

    /** QMP migrate-set-capabilities: all or none. */
    void setCapabilities(Map<Capability, Boolean> changes) throws CommandException;

    /** The capabilities that are on. */
    Set<Capability> capabilities();

    /** QMP migrate-set-parameters; takes effect at once, also in flight. */
    void setParameters(MigrationParameters parameters) throws CommandException;

    /** QMP query-migrate-parameters. */
    MigrationParameters parameters();

    /** QMP query-migrate. */
    MigrationInfo queryMigrate();

    /** QMP query-status. */
    RunState queryStatus();

    /** QMP stop: idempotent. */
    void stop() throws CommandException;

    /** QMP cont. Refused with the reason where the guest must not run here. */
    void cont() throws CommandException;

    /**
     * Takes a guest back that was given away and whose destination never got it: it may run here again, and goes on if
     * the migration had stopped it. Only a person can know that the other copy does not run.
     */
    void reclaim() throws CommandException;

    /**
     * A guest for people and programs.
     *
     * @param migrationStatus QEMU's status name, or {@code null}
     * @param pid of a process guest, else {@code null}
     * @param check what the guest last said of its own consistency (sample guests do), or {@code null}
     */
    record GuestView(
            String name,
            GuestKind kind,
            RunState runState,
            @Nullable String uuid,
            @Nullable String machineType,
            long ramBytes,
            List<BlockView> blocks,
            List<DeviceView> devices,
            @Nullable Long pid,
            @Nullable String migrationStatus,
            @Nullable Map<String, Object> check) {}

    /** A RAM block. */
    record BlockView(String name, long lengthBytes, int pageSizeBytes) {}

    /** A device section. {@code lengthBytes} is -1 while it is not known. */
    record DeviceView(String name, long instanceId, int version, long lengthBytes) {}
}
