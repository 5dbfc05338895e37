package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingRequest.Release;
import io.migrationd.migrationd.session.Capability;
import java.util.EnumSet;
import java.util.List;

/**
 * Puts a guest whose destination died before it ran into a fresh QEMU, which waits with {@code -incoming} and
 * {@code -S}: an ordinary precopy stream of what the source said first, the drained memory, and the devices of the
 * package, byte for byte. Who may {@code cont} is decided elsewhere.
 *
 * <p>Owns the thread {@code mig-send-<id>}. One attempt; after a failure the next one goes to another fresh QEMU.
 * Thread-safe.
 */
public final class Replace implements AutoCloseable {
    private final DrainedCopy copy;
    private final Changes changes;
    private final OutgoingMigration migration;
    // Guarded by this.
    private boolean closed;

    private Replace(RescueRequest request, Release release) {
        this.copy = request.copy();
        this.changes = new Changes(request.events());
        this.migration =
                new OutgoingMigration(Requests.outgoing(request, EnumSet.of(Capability.RETURN_PATH), changes, release));
    }

    /**
     * Dials the fresh QEMU and sends.
     *
     * @param evidence what was seen of the dead destination
     * @param release called when the QEMU has loaded everything but the end of the stream: makes durable that the guest
     *     is about to be there; if it throws, the stream stays without its end
     * @throws RescueRefusedException if the dead destination may have run the guest, if the package was not kept, or
     *     the copy is not complete or is in use
     */
    public static Replace start(RescueRequest request, Evidence evidence, Release release)
            throws RescueRefusedException {
        DrainedCopy copy = request.copy();
        List<String> reasons = evidence.reasons();
        if (!reasons.isEmpty()) {
            throw new RescueRefusedException(
                    "the dead destination of '%s' may have run the guest: %s. Its memory here is older than its disks"
                            .formatted(copy.name(), String.join(", ", reasons)));
        }
        if (!copy.hasPackage()) {
            throw new RescueRefusedException(
                    "the device state of '%s' was not kept: its package had not been sent whole"
                            .formatted(copy.name()));
        }
        copy.claim("replace", DrainedCopy.State.COMPLETE);
        Replace replace = new Replace(request, release);
        replace.migration.start();
        return replace;
    }

    /** Where it stands. */
    public RescueStatus status() {
        return Requests.status(migration, copy);
    }

    /** Gives up; the fresh QEMU is of no use any more. False if it may have the whole guest already. */
    public boolean cancel() {
        return migration.cancel();
    }

    /** Waits until the QEMU has the guest, or will not get it; false if that takes longer. */
    public boolean awaitEnd(long millis) throws InterruptedException {
        return changes.await(millis, () -> status().state().isTerminal() && !migration.isBusy());
    }

    /** Cancels what can be cancelled and ends the thread. Idempotent. */
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
