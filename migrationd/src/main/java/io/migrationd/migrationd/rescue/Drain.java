package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.incoming.IncomingMigration;
import io.migrationd.migrationd.incoming.IncomingRequest;
import io.migrationd.migrationd.incoming.IncomingStatus;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Takes the memory of a paused source QEMU into a {@link DrainedCopy}: it is told {@code migrate resume=true} with our
 * address, finds here a destination that has nothing, or what an earlier attempt got, and sends the rest. When every
 * page is on stable storage it hears SHUT(0), is {@code completed}, and may be shut down.
 *
 * <p>A break in the middle changes nothing: the source pauses again, and may come back to the same address. Its pages
 * are read by the thread {@code mig-listen-<id>}, those of a preempt channel by {@code mig-urgent-<id>}. Thread-safe.
 */
public final class Drain implements AutoCloseable {
    private static final int DEVICE_STATE_BYTES = 1;

    private final DrainedCopy copy;
    private final Changes changes;
    private final AtomicBoolean sourceKnows = new AtomicBoolean();
    private final IncomingMigration migration;
    // Guarded by this.
    private boolean cancelled;
    private boolean closed;

    private Drain(RescueRequest request) throws IOException {
        this.copy = request.copy();
        this.changes = new Changes(request.events());
        this.migration = IncomingMigration.reopen(incoming(request));
    }

    /**
     * Listens for the source.
     *
     * @throws RescueRefusedException if the copy is complete, or another rescue uses it
     * @throws IOException if the address cannot be listened at
     */
    public static Drain listen(RescueRequest request) throws IOException {
        request.copy().claim("drain", DrainedCopy.State.PARTIAL);
        Drain drain;
        try {
            drain = new Drain(request);
        } catch (IOException | RuntimeException e) {
            request.copy().release();
            throw e;
        }
        MigrationInfo info = drain.migration.info();
        if (info.socketAddresses().isEmpty()) {
            drain.close();
            throw new IOException("drain of '%s': %s".formatted(request.copy().name(), info.errorDesc()));
        }
        return drain;
    }

    private IncomingRequest incoming(RescueRequest request) {
        Set<Capability> capabilities = EnumSet.of(Capability.POSTCOPY_RAM);
        if (request.preempt()) {
            capabilities.add(Capability.POSTCOPY_PREEMPT);
        }
        RecoverySettings defaults = RecoverySettings.DEFAULTS;
        return new IncomingRequest(
                request.id(),
                request.copy().guest(),
                request.uri(),
                request.links(),
                capabilities,
                changes,
                request.limits().peerSilenceMillis(),
                DEVICE_STATE_BYTES,
                new RecoverySettings(
                        true,
                        defaults.maxIntervalMillis(),
                        defaults.deadPeerMillis(),
                        request.limits().patienceMillis()),
                new Heard());
    }

    /** The copy itself is the record; only the source's end is news. */
    private final class Heard implements IncomingRequest.Acceptance {
        @Override
        public void write() throws IOException {
            throw new IOException("a drained copy never runs");
        }

        @Override
        public void sourceKnows() {
            sourceKnows.set(true);
            changes.signal();
        }
    }

    /** What the source is to be told, with the real port. */
    public MigrationUri uri() {
        return migration.uri();
    }

    /** Where it stands. */
    public RescueStatus status() {
        MigrationInfo info = migration.info();
        IncomingStatus status = migration.status();
        long pageBytes = copy.pageSizeBytes();
        long totalPages = copy.totalBytes() / pageBytes;
        long missing = status == IncomingStatus.COMPLETED
                ? 0
                : migration.missingBytes().orElse(0) / pageBytes;
        RescueState state = state(status, info.errorDesc() != null);
        boolean inDoubt = migration.isWordDue() && !sourceKnows.get();
        return new RescueStatus(
                state, totalPages - missing, totalPages, Optional.ofNullable(info.errorDesc()), inDoubt);
    }

    private synchronized RescueState state(IncomingStatus status, boolean failedBefore) {
        return switch (status) {
            case COMPLETED -> RescueState.COMPLETED;
            case FAILED -> RescueState.FAILED;
            case POSTCOPY_ACTIVE ->
                unlessCancelled(migration.isWordDue() ? RescueState.LAST_WORD : RescueState.TRANSFERRING);
            case POSTCOPY_RECOVER -> unlessCancelled(RescueState.AGREEING);
            default -> unlessCancelled(failedBefore ? RescueState.PAUSED : RescueState.WAITING);
        };
    }

    private RescueState unlessCancelled(RescueState state) {
        return cancelled ? RescueState.CANCELLED : state;
    }

    /**
     * Gives up; the source pauses again, what came is kept for the next drain. False if the source has sent everything
     * and waits for its last word: a QEMU of 10.0 and later would take a break for a failure and run its old copy.
     */
    public boolean cancel() {
        if (migration.status().isTerminal() || !migration.stopTaking()) {
            return false;
        }
        synchronized (this) {
            cancelled = true;
        }
        close();
        changes.signal();
        return true;
    }

    /** Waits until the copy is complete, or never will be by this drain; false if that takes longer. */
    public boolean awaitEnd(long millis) throws InterruptedException {
        return changes.await(millis, () -> status().state().isTerminal());
    }

    /** Waits until the source is known to have heard its SHUT; false if that takes longer. */
    public boolean awaitSourceReleased(long millis) throws InterruptedException {
        return changes.await(millis, sourceKnows::get);
    }

    /** Stops to listen and ends the threads, whatever the source waits for; see {@link #cancel}. Idempotent. */
    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        migration.close();
        copy.release();
    }
}
