package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingStatus;
import io.migrationd.migrationd.session.Capability;
import java.io.IOException;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Gives a paused destination QEMU what it has not got yet, from a complete {@link DrainedCopy}, in place of its source:
 * it was told {@code migrate-recover} with the address that we dial. It is asked what it has, the pages that its guest
 * waits for go first, all others follow, and its SHUT(0) ends it.
 *
 * <p>One call of {@link #start} or {@link #retry} is one attempt. Pages are sent by the threads {@code mig-send-<id>}
 * and, with preempt, {@code mig-urgent-<id>}. Thread-safe.
 */
public final class Serve implements AutoCloseable {
    private static final String BEGUN = OutgoingStatus.POSTCOPY_RECOVER_SETUP.qmpName();

    private final DrainedCopy copy;
    private final Changes changes;
    private final OutgoingMigration migration;
    /** An address was named and the thread has not begun with it. */
    private final AtomicBoolean pending = new AtomicBoolean();
    // Guarded by this.
    private boolean cancelled;
    private boolean closed;

    private Serve(RescueRequest request) {
        this.copy = request.copy();
        this.changes = new Changes((guest, name, data) -> {
            if (BEGUN.equals(data.get("status"))) {
                pending.set(false);
            }
            request.events().event(guest, name, data);
        });
        Set<Capability> capabilities = EnumSet.of(Capability.POSTCOPY_RAM, Capability.RETURN_PATH);
        if (request.preempt()) {
            capabilities.add(Capability.POSTCOPY_PREEMPT);
        }
        this.migration = OutgoingMigration.reopen(
                Requests.outgoing(request, capabilities, changes, () -> {
                    throw new IOException("a drained copy gives nothing away: it has been");
                }),
                0);
    }

    /**
     * Dials the destination.
     *
     * @throws RescueRefusedException if the copy is not complete, or another rescue uses it
     */
    public static Serve start(RescueRequest request) throws RescueRefusedException {
        request.copy().claim("serve", DrainedCopy.State.COMPLETE);
        Serve serve = new Serve(request);
        serve.migration.start();
        try {
            serve.dial(request.uri());
        } catch (RescueRefusedException e) {
            serve.close();
            throw e;
        }
        return serve;
    }

    /**
     * The connection broke, and the destination was told {@code migrate-recover} again: dials it there. A destination
     * that has got all RAM meanwhile has ended, and needs none.
     *
     * @throws RescueRefusedException if nothing is paused
     */
    public void retry(MigrationUri uri) throws RescueRefusedException {
        synchronized (this) {
            if (closed) {
                throw new RescueRefusedException("serve of '%s' was closed".formatted(copy.name()));
            }
        }
        RescueState state = status().state();
        if (state != RescueState.PAUSED) {
            // The engine would take this for a wish to break off what is under way.
            throw new RescueRefusedException("serve of '%s' is %s, only a paused one is tried again"
                    .formatted(copy.name(), state.name().toLowerCase(Locale.ROOT)));
        }
        dial(uri);
    }

    private void dial(MigrationUri uri) throws RescueRefusedException {
        pending.set(true);
        Optional<String> refusal = migration.resume(uri);
        if (refusal.isPresent()) {
            pending.set(false);
            throw new RescueRefusedException(refusal.get());
        }
    }

    /** Where it stands. */
    public RescueStatus status() {
        RescueStatus status = Requests.status(migration, copy);
        RescueState state = status.state();
        if (state == RescueState.PAUSED && pending.get()) {
            state = RescueState.WAITING;
        }
        synchronized (this) {
            if (cancelled && !state.isTerminal()) {
                state = RescueState.CANCELLED;
            }
        }
        return new RescueStatus(state, status.donePages(), status.totalPages(), status.error(), status.inDoubt());
    }

    /**
     * Gives up; the destination pauses again. False if it is over already. Not while it is {@link RescueState#AGREEING}
     * with a QEMU 7.2 if that can be helped: such a destination may not survive it.
     */
    public boolean cancel() {
        if (migration.status().isTerminal()) {
            return false;
        }
        synchronized (this) {
            cancelled = true;
        }
        close();
        changes.signal();
        return true;
    }

    /** Waits until the destination has everything, or an attempt has failed; false if that takes longer. */
    public boolean awaitEnd(long millis) throws InterruptedException {
        return changes.await(millis, () -> {
            RescueState state = status().state();
            return state.isTerminal() || state == RescueState.PAUSED;
        });
    }

    /** Breaks the connection, if there is one, and ends the threads. Idempotent. */
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
