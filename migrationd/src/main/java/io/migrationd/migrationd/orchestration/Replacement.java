package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.rescue.Replace;
import io.migrationd.migrationd.rescue.RescueStatus;
import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Starts a stranded guest anew on this host: the drained QEMU ends, a fresh one is started from this host's definition
 * and takes the copy, then the guest runs. Each step is in the journal before it is done, so that a later daemon knows
 * whether the guest may have run. For the move's thread.
 */
final class Replacement implements AutoCloseable {
    private static final String STEP = "replace";
    private static final String STAGE = "stage";
    private static final String LOADING = "loading";
    private static final String RUNNING = "running";
    private static final long END_MILLIS = 15_000;

    private final SourceJob job;
    private final MoveServices services;
    private final MoveRescue rescue;
    private final QemuHandle old;
    private final Supplier<SourceState> state;
    private final long deadlineNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(END_MILLIS);
    private boolean quitSaid;
    private boolean mayRun;
    private @Nullable IncomingProcess process;
    private @Nullable QemuHandle fresh;
    private @Nullable Replace replace;

    /** How a look at it ended. */
    enum Progress {
        GOES_ON,
        /** The guest is here. */
        DONE,
        /** The new QEMU died when it may have run, or had the only copy. */
        LOST
    }

    Replacement(SourceJob job, MoveServices services, MoveRescue rescue, QemuHandle old, Supplier<SourceState> state) {
        this.job = job;
        this.services = services;
        this.rescue = rescue;
        this.old = old;
        this.state = state;
    }

    /** Whether an earlier daemon was at it. */
    static boolean isLeft(MoveServices services, SourceJob job) {
        return services.store().step(job.id(), STEP).isPresent();
    }

    /** Finds the QEMU that an earlier daemon has started. */
    void restore() throws IOException {
        Map<String, String> record = services.store().step(job.id(), STEP).orElse(Map.of());
        mayRun = RUNNING.equals(record.get(STAGE));
        try {
            adopt(services.starter().find(record));
        } catch (IOException e) {
            rescue.say("the new QEMU of an earlier daemon is gone: " + e.getMessage());
            if (!mayRun) {
                services.store().undone(job.id(), STEP);
            }
        }
    }

    /** Takes the next step, if it is time to. An exception: nothing is lost, it may be tried again from the start. */
    Progress poll() throws IOException, QmpException {
        QemuHandle handle = fresh;
        if (handle == null) {
            return mayRun ? Progress.LOST : start();
        }
        Replace sending = replace;
        if (sending != null) {
            RescueStatus status = sending.status();
            rescue.tell("replace", status);
            if (!status.state().isTerminal()) {
                return Progress.GOES_ON;
            }
            sending.close();
            replace = null;
        }
        return run(handle);
    }

    private Progress start() throws IOException, QmpException {
        if (!old.isDead()) {
            rescue.say("replace: the drained QEMU ends");
            if (!quitSaid) {
                quitSaid = true;
                old.guest().quit();
            } else if (deadlineNanos - System.nanoTime() < 0) {
                throw new IOException("the drained QEMU does not end: kill it");
            }
            return Progress.GOES_ON;
        }
        rescue.say("replace: a new QEMU is started");
        IncomingProcess started = services.starter()
                .start(new TargetJob(job.id(), job.order().guest(), job.order(), System.currentTimeMillis()));
        // In the journal first: a QEMU that nobody knows of would keep the socket.
        record(started, LOADING);
        adopt(started);
        QemuHandle handle = Objects.requireNonNull(fresh);
        Path socket = rescue.socket("r");
        handle.guest().migrateIncoming("unix:" + socket);
        replace =
                Replace.start(rescue.request(socket, false), RescueRules.evidence(state.get()), this::requireOwnership);
        return Progress.GOES_ON;
    }

    private void adopt(IncomingProcess found) {
        process = found;
        fresh = new QemuHandle(job.order().guest(), found.qmp(), found::isDead, event -> {}, () -> {});
    }

    private void record(IncomingProcess started, String stage) throws IOException {
        Map<String, String> record = new HashMap<>(started.record());
        record.put(STAGE, stage);
        services.store().step(job.id(), STEP, record);
    }

    /** On the sender's thread. The machine took the guest back, in writing, before the move was stranded. */
    private void requireOwnership() throws IOException {
        SourceState now = state.get();
        if (!RescueRules.evidence(now).reasons().isEmpty()) {
            throw new IOException("the guest is not this host's any more");
        }
        services.store().write(job, now, now.ownership(), now.epoch());
    }

    private Progress run(QemuHandle handle) throws IOException, QmpException {
        IncomingProcess running = process;
        if (running == null) {
            throw new IllegalStateException("a QEMU without a process");
        }
        QemuHandle.Look look = handle.look();
        if (look instanceof QemuHandle.Look.Gone gone) {
            if (mayRun || rescue.isUsed()) {
                rescue.say("the new QEMU died: " + gone.why());
                return Progress.LOST;
            }
            throw new IOException("the new QEMU died: " + gone.why());
        }
        if (!(look instanceof QemuHandle.Look.Said said)) {
            return Progress.GOES_ON;
        }
        QemuFact fact = said.fact();
        if (fact.status() != QemuStatus.COMPLETED || !fact.isLoaded()) {
            // It has said SHUT(0) a moment before it says that it is done.
            if (mayRun || rescue.isUsed()) {
                return Progress.GOES_ON;
            }
            throw new IOException("the new QEMU has not taken the guest: %s"
                    .formatted(said.migration().error().orElse(said.migration().statusText())));
        }
        if (!state.get().plan().guestRuns() || fact.isRunning()) {
            return Progress.DONE;
        }
        if (!mayRun) {
            record(running, RUNNING);
            mayRun = true;
        }
        rescue.say("replace: the guest goes on");
        handle.guest().cont();
        return Progress.GOES_ON;
    }

    /** The new QEMU has not taken the guest, and is of no use. */
    void abandon() {
        Replace sending = replace;
        replace = null;
        if (sending != null) {
            sending.close();
        }
        IncomingProcess useless = process;
        process = null;
        try {
            if (useless != null) {
                useless.kill();
            }
            services.store().undone(job.id(), STEP);
        } catch (IOException e) {
            rescue.say("the new QEMU is not ended: " + e.getMessage());
        }
        close();
    }

    /** The guest's own from now on. */
    void done() throws IOException {
        services.store().undone(job.id(), STEP);
    }

    @Override
    public void close() {
        Replace sending = replace;
        replace = null;
        if (sending != null) {
            sending.close();
        }
        QemuHandle handle = fresh;
        fresh = null;
        if (handle != null) {
            handle.close();
        }
    }
}
