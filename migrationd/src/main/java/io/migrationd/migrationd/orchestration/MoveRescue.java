package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.journal.DurableFiles;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.Vcpus;
import io.migrationd.migrationd.qmp.QmpException;
import io.migrationd.migrationd.rescue.Drain;
import io.migrationd.migrationd.rescue.DrainedCopy;
import io.migrationd.migrationd.rescue.KeptParts;
import io.migrationd.migrationd.rescue.KeptPartsFile;
import io.migrationd.migrationd.rescue.RescueLimits;
import io.migrationd.migrationd.rescue.RescueRequest;
import io.migrationd.migrationd.rescue.RescueState;
import io.migrationd.migrationd.rescue.RescueStatus;
import io.migrationd.migrationd.rescue.Serve;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The drained copy of a source's move, and what is done with it. From the moment that a drain begins, QEMU and copy
 * together are a source that is paused: what QEMU says is not told to the machine any more, because its
 * {@code completed} would mean that the destination has everything. When the copy is whole, it answers in QEMU's place.
 *
 * <p>For the move's thread, but for {@link #words()}.
 */
final class MoveRescue implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(MoveRescue.class);
    /** In the journal from before the first word to QEMU until the move is over. */
    private static final String STEP = "drain";

    private static final long AGAIN_MILLIS = 1_000;

    private final SourceJob job;
    private final MoveServices services;
    private final MoveRecorder recorder;
    private boolean active;
    private boolean keptDone;
    private int sockets;
    private long againNanos;
    private @Nullable DrainedCopy copy;
    private @Nullable Drain drain;
    private @Nullable Serve serve;
    private String lastSaid = "";
    private volatile String words = "";

    MoveRescue(SourceJob job, MoveServices services, MoveRecorder recorder) {
        this.job = job;
        this.services = services;
        this.recorder = recorder;
    }

    /** What it does, for people; empty if nothing. */
    String words() {
        return words;
    }

    // ---- what has to be kept ----

    /** Writes down what passed, once it has passed whole; it is durable on return. */
    void keep(MoveRelay relay) {
        if (keptDone || !job.order().postcopy()) {
            return;
        }
        relay.stream().flatMap(SeenStream::kept).ifPresent(kept -> {
            keptDone = true;
            Path file = services.rescues().kept(job.id());
            try {
                Files.createDirectories(services.rescues().state().resolve("moves"));
                KeptPartsFile.write(file, new KeptParts(kept.prologue(), kept.ramSetup(), kept.packaged()));
                relay.stream().ifPresent(SeenStream::release);
                recorder.note("kept for a rescue: %d bytes of device state".formatted(kept.packaged().length));
            } catch (IOException | IllegalArgumentException e) {
                recorder.note("nothing is kept for a rescue: " + e.getMessage());
                log.atWarn().addKeyValue("move", job.id()).setCause(e).log("parts of the stream not kept");
            }
        });
    }

    boolean isKept() {
        return copy != null || Files.exists(services.rescues().kept(job.id()));
    }

    // ---- the copy ----

    /** What an earlier daemon has left. */
    void restore() {
        if (services.store().step(job.id(), STEP).isEmpty()) {
            return;
        }
        active = true;
        try {
            open();
        } catch (IOException e) {
            say("the copy can't be opened: " + e.getMessage());
            log.atError().addKeyValue("move", job.id()).setCause(e).log("drained copy not opened");
        }
    }

    /** Whether QEMU is not the source of this move any more, or not alone. */
    boolean isActive() {
        return active;
    }

    boolean isWhole() {
        DrainedCopy held = copy;
        return held != null && held.state() != DrainedCopy.State.PARTIAL;
    }

    /** Whether a QEMU has said that it has all of it. */
    boolean isUsed() {
        DrainedCopy held = copy;
        return held != null && held.state() == DrainedCopy.State.USED;
    }

    boolean isDraining() {
        return drain != null;
    }

    /** What is under way, if something is. */
    Optional<String> busy() {
        if (drain != null) {
            return Optional.of("drain");
        }
        Serve serving = serve;
        return serving != null && serving.status().state() != RescueState.PAUSED
                ? Optional.of("serve")
                : Optional.empty();
    }

    /** Whether the move goes on without QEMU, or will in a moment. */
    boolean outlivesQemu() {
        Drain draining = drain;
        return isWhole() || (draining != null && draining.status().state() == RescueState.LAST_WORD);
    }

    private DrainedCopy open() throws IOException {
        DrainedCopy held = copy;
        if (held == null) {
            String guest = job.order().guest();
            Path folder = services.rescues().copy(guest);
            boolean ours = services.store().step(job.id(), STEP).isPresent();
            if (Files.exists(folder.resolve("kept.parts")) && !ours) {
                // Of a move that is over: a guest has one move at a time.
                DrainedCopy old =
                        DrainedCopy.open(guest, folder, services.rescues().budget());
                old.delete();
            }
            held = Files.exists(folder.resolve("kept.parts"))
                    ? DrainedCopy.open(guest, folder, services.rescues().budget())
                    : DrainedCopy.create(
                            guest,
                            folder,
                            KeptPartsFile.read(services.rescues().kept(job.id())),
                            services.rescues().budget());
            copy = held;
        }
        return held;
    }

    DrainedCopy copy() throws IOException {
        return open();
    }

    /** A request for a rescue at a socket or of a destination. */
    RescueRequest request(Path socket, boolean preempt) throws IOException {
        return new RescueRequest(
                job.order().guest(),
                open(),
                MigrationUri.parse("unix:" + socket),
                services.rescues().links(),
                preempt,
                (guest, name, data) -> {},
                RescueLimits.DEFAULTS);
    }

    Path socket(String end) {
        sockets++;
        return services.relays()
                .socketPath(job.id(), end + sockets + "-" + Long.toString(System.nanoTime() & 0xffffff, 36));
    }

    private boolean preempt() {
        return job.order().preempt() && job.order().postcopy();
    }

    // ---- drain ----

    /** Begins, or goes on, to take the pages of the paused QEMU. */
    void drain(QemuHandle qemu) throws IOException, QmpException {
        if (drain != null || isWhole()) {
            return;
        }
        RescueRequest request = request(socket("d"), preempt());
        services.store().step(job.id(), STEP, Map.of("since", String.valueOf(System.currentTimeMillis())));
        active = true;
        Drain draining = Drain.listen(request);
        drain = draining;
        tell("drain", draining.status());
        // A source's limit does not hold for pages that are asked for; it does for all others.
        try {
            var _ = qemu.guest().setParameters(Map.of("max-postcopy-bandwidth", 0));
        } catch (QmpException e) {
            recorder.note("the drain is as slow as QEMU's limit: " + e.getMessage());
        }
        resumeInto(draining, qemu);
    }

    private void resumeInto(Drain draining, QemuHandle qemu) throws IOException, QmpException {
        againNanos = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(AGAIN_MILLIS);
        recorder.note("QEMU: migrate resume into the copy");
        qemu.guest().migrateResume(draining.uri().toString());
    }

    /**
     * One look at the drain.
     *
     * @param real what QEMU said, if it did
     * @return whether it has just ended with every page here
     */
    boolean pollDrain(Optional<QemuFact> real, QemuHandle qemu) {
        Drain draining = drain;
        if (draining == null) {
            return false;
        }
        RescueStatus status = draining.status();
        tell("drain", status);
        if (status.state().isTerminal()) {
            boolean sure = !status.inDoubt()
                    || real.isEmpty()
                    || real.get().status() == QemuStatus.COMPLETED
                    || real.get().status() == QemuStatus.FAILED;
            if (!sure) {
                return false;
            }
            draining.close();
            drain = null;
            return isWhole();
        }
        boolean paused = real.isPresent() && real.get().status() == QemuStatus.POSTCOPY_PAUSED;
        if (paused && againNanos - System.nanoTime() <= 0) {
            try {
                resumeInto(draining, qemu);
            } catch (QmpException | IOException e) {
                recorder.once("rescue", "QEMU does not go on into the copy: " + e.getMessage());
            }
        }
        return false;
    }

    // ---- serve ----

    /** The destination listens behind that relay. */
    void serve(Path relay) throws IOException {
        if (!isWhole()) {
            throw new IOException("the guest is being drained, its pages come later");
        }
        Serve serving = serve;
        if (serving != null && serving.status().state() == RescueState.PAUSED) {
            serving.retry(MigrationUri.parse("unix:" + relay));
            return;
        }
        if (serving != null) {
            serving.close();
        }
        serve = Serve.start(request(relay, preempt()));
    }

    void pollServe() {
        Serve serving = serve;
        if (serving != null) {
            tell("serve", serving.status());
        }
    }

    /** What the machine is told in place of what QEMU said. */
    QemuFact fact(QemuFact real) {
        if (!active) {
            return real;
        }
        DrainedCopy held = copy;
        Serve serving = serve;
        QemuStatus status;
        if (serving != null) {
            status = switch (serving.status().state()) {
                case WAITING, AGREEING -> QemuStatus.POSTCOPY_RECOVER;
                case TRANSFERRING, LAST_WORD -> QemuStatus.POSTCOPY_ACTIVE;
                case PAUSED, FAILED, CANCELLED -> QemuStatus.POSTCOPY_PAUSED;
                case COMPLETED -> QemuStatus.COMPLETED;
            };
        } else {
            status = held != null && held.state() == DrainedCopy.State.USED
                    ? QemuStatus.COMPLETED
                    : QemuStatus.POSTCOPY_PAUSED;
        }
        return new QemuFact(status, Vcpus.STOPPED);
    }

    // ---- ends ----

    /** Notes a state that is new. */
    void tell(String kind, RescueStatus status) {
        words = "%s: %s, %d of %d pages%s"
                .formatted(
                        kind,
                        MoveWords.word(status.state()),
                        status.donePages(),
                        status.totalPages(),
                        status.error().map(why -> ", " + why).orElse(""));
        String said = kind + status.state() + status.error().orElse("");
        if (!said.equals(lastSaid)) {
            lastSaid = said;
            recorder.note("rescue: " + words);
            services.events()
                    .event(
                            job.order().guest(),
                            "MOVE_RESCUE",
                            Map.of(
                                    "kind", kind,
                                    "state", MoveWords.word(status.state()),
                                    "done-pages", status.donePages(),
                                    "total-pages", status.totalPages()));
            log.atInfo()
                    .addKeyValue("move", job.id())
                    .addKeyValue("rescue", words)
                    .log("rescue");
        }
    }

    /** Something that no engine says. */
    void say(String text) {
        words = text;
        if (!text.equals(lastSaid)) {
            lastSaid = text;
            recorder.note("rescue: " + text);
            log.atInfo()
                    .addKeyValue("move", job.id())
                    .addKeyValue("rescue", text)
                    .log("rescue");
        }
    }

    /** The guest runs for sure: what was kept is of no use any more. */
    void discard() {
        closeEngines();
        DrainedCopy held = copy;
        copy = null;
        try {
            if (held != null) {
                held.delete();
            }
            DurableFiles.delete(services.rescues().kept(job.id()));
            services.store().undone(job.id(), STEP);
        } catch (IOException e) {
            log.atWarn().addKeyValue("move", job.id()).setCause(e).log("leftovers of a rescue");
        }
    }

    private void closeEngines() {
        Drain draining = drain;
        drain = null;
        if (draining != null) {
            draining.close();
        }
        Serve serving = serve;
        serve = null;
        if (serving != null) {
            serving.close();
        }
    }

    @Override
    public void close() {
        closeEngines();
        DrainedCopy held = copy;
        copy = null;
        if (held != null) {
            held.close();
        }
    }
}
