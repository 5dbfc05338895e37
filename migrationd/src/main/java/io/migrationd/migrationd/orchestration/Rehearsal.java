package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.journal.MoveJournal;
import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.MovePlan;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.SourceMachine;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.Step;
import io.migrationd.migrationd.move.TargetMachine;
import io.migrationd.migrationd.move.TargetPhase;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.move.Vcpus;
import io.migrationd.migrationd.peer.MoveOrder;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.peer.PeerWordCodec;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Does beforehand what a move does while its guest stands still: steps of the machines, writes to a journal, messages.
 * A daemon moves a guest now and then; code that runs for the first time is loaded and interpreted, and the guest would
 * wait for that. Held once in a daemon's life, on a thread {@code move-rehearsal}, when its first move begins, which is
 * seconds before that guest stops. Touches nothing but a journal of its own.
 */
final class Rehearsal implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Rehearsal.class);

    /** The compiler takes what was called 200 times; a round writes some nine times. */
    private static final int ROUNDS = 60;

    private static final Duration JOIN = Duration.ofSeconds(2);
    private static final long MOST_NANOS = TimeUnit.SECONDS.toNanos(2);

    private static final MoveSettings SETTINGS =
            new MoveSettings(MoveOperations.PostcopyUse.NEVER, false, 0, false, false, 300, 300, 0, 0, 0, false, 0);

    private static final List<MoveEvent> SOURCE = List.of(
            new MoveEvent.Start(),
            new MoveEvent.FromPeer(new PeerMessage.Ready()),
            new MoveEvent.Qemu(new QemuFact(QemuStatus.ACTIVE, Vcpus.RUNNING)),
            new MoveEvent.Qemu(new QemuFact(QemuStatus.PRE_SWITCHOVER, Vcpus.STOPPED)),
            new MoveEvent.GateChecked(true, "a rehearsal"),
            new MoveEvent.Qemu(new QemuFact(QemuStatus.DEVICE, Vcpus.STOPPED)),
            new MoveEvent.Qemu(new QemuFact(QemuStatus.COMPLETED, Vcpus.STOPPED)),
            new MoveEvent.FromPeer(new PeerMessage.Loaded(QemuStatus.COMPLETED)),
            new MoveEvent.FromPeer(new PeerMessage.Started()),
            new MoveEvent.FromPeer(new PeerMessage.Finished()));

    private final Path folder;
    private final AtomicBoolean held = new AtomicBoolean();
    private volatile @Nullable Thread thread;
    private volatile boolean closed;

    /** {@code folder} is made, and gone again afterwards. */
    Rehearsal(Path folder) {
        this.folder = folder;
    }

    /** Begins, unless it was held before. */
    void holdOnce(MoveOrder order) {
        if (!held.getAndSet(true)) {
            thread = Thread.ofPlatform().name("move-rehearsal").daemon().start(() -> hold(order));
        }
    }

    private void hold(MoveOrder order) {
        long start = System.nanoTime();
        try {
            int rounds = run(order, ROUNDS);
            log.atDebug()
                    .addKeyValue("rounds", rounds)
                    .addKeyValue("millis", TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start))
                    .log("a switchover was rehearsed");
        } catch (IOException | RuntimeException e) {
            log.atWarn().setCause(e).log("no rehearsal: the guest of the first move stands still a little longer");
        }
    }

    /** How many rounds were done, none of them begun after two seconds. */
    int run(MoveOrder order, int rounds) throws IOException {
        long giveUp = System.nanoTime() + MOST_NANOS;
        Files.createDirectories(folder);
        try (MoveJournal journal = MoveJournal.open(folder.resolve("moves.db"), folder);
                JournalStore store = new JournalStore(journal)) {
            for (int round = 0; round < rounds; round++) {
                if (closed || System.nanoTime() - giveUp > 0) {
                    return round;
                }
                UUID id = UUID.randomUUID();
                source(store, order, id);
                target(store, order, id);
            }
            return rounds;
        } finally {
            remove();
        }
    }

    /** Ends it after the round that it is in, and waits for that. */
    @Override
    public void close() {
        closed = true;
        Thread running = thread;
        try {
            if (running != null && !running.join(JOIN)) {
                log.atWarn().log("the rehearsal does not end");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private static void source(JournalStore store, MoveOrder order, UUID id) throws IOException {
        SourceJob job = new SourceJob(
                id, Path.of("qmp"), order.sourceHost(), List.of(), SETTINGS, order, 1, System.currentTimeMillis());
        SourceState state = SourceState.initial(new MovePlan(MovePlan.Mode.PRECOPY, true, 0));
        for (MoveEvent event : SOURCE) {
            Step<SourceState> step = SourceMachine.step(state, event);
            state = step.next();
            for (MoveAction action : step.actions()) {
                if (action instanceof MoveAction.Write write) {
                    store.write(job, state, write.ownership(), write.epoch());
                }
                say(action, id);
            }
        }
        if (state.phase() != SourcePhase.ENDED) {
            throw new IllegalStateException("the rehearsal of a source has ended in " + state.phase());
        }
        store.ended(id);
    }

    private static void target(JournalStore store, MoveOrder order, UUID move) throws IOException {
        // The journal knows a move in one role only.
        UUID id = new UUID(move.getMostSignificantBits(), ~move.getLeastSignificantBits());
        TargetJob job = new TargetJob(id, order.guest(), order, System.currentTimeMillis());
        MovePlan plan = new MovePlan(MovePlan.Mode.PRECOPY, true, 0);
        List<MoveEvent> events = List.of(
                new MoveEvent.FromPeer(new PeerMessage.Prepare(plan)),
                new MoveEvent.Prepared(),
                new MoveEvent.Qemu(new QemuFact(QemuStatus.COMPLETED, Vcpus.STOPPED)),
                new MoveEvent.FromPeer(new PeerMessage.Grant(plan.grantEpoch())),
                new MoveEvent.Qemu(new QemuFact(QemuStatus.COMPLETED, Vcpus.RUNNING)),
                new MoveEvent.FromPeer(new PeerMessage.Finish()));
        TargetState state = TargetState.NO_RECORD;
        for (MoveEvent event : events) {
            Step<TargetState> step = TargetMachine.step(state, event);
            state = step.next();
            for (MoveAction action : step.actions()) {
                if (action instanceof MoveAction.Write write) {
                    store.write(job, state, write.ownership(), write.epoch());
                }
                say(action, id);
            }
        }
        if (state.phase() != TargetPhase.ENDED) {
            throw new IllegalStateException("the rehearsal of a target has ended in " + state.phase());
        }
        store.ended(id);
    }

    /** What is said is understood again; PREPARE, which has more to it, is long over when a guest stops. */
    private static void say(MoveAction action, UUID id) throws IOException {
        if (action instanceof MoveAction.Send(PeerMessage said) && !(said instanceof PeerMessage.Prepare)) {
            PeerWord word = PeerWordCodec.decode(PeerWordCodec.encode(PeerWord.OfMove.plain(id, said)));
            if (!(word instanceof PeerWord.OfMove)) {
                throw new IllegalStateException("said %s, understood %s".formatted(said, word));
            }
        }
    }

    private void remove() throws IOException {
        try (Stream<Path> files = Files.walk(folder)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
    }
}
