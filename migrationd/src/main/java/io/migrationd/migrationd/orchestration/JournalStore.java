package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.journal.JournalException;
import io.migrationd.migrationd.journal.MoveJournal;
import io.migrationd.migrationd.journal.MoveRow;
import io.migrationd.migrationd.journal.OwnershipRow;
import io.migrationd.migrationd.journal.StepRow;
import io.migrationd.migrationd.move.MoveCodec;
import io.migrationd.migrationd.move.Ownership;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.SourceState;
import io.migrationd.migrationd.move.TargetState;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The journal, as moves use it: a move's job is a step of it that is never undone. Owns the thread {@code move-notes},
 * which writes the lines of timelines, some at once: they come mostly while a guest stands still, when nothing else
 * should have to wait for them.
 */
final class JournalStore implements MoveStore, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(JournalStore.class);
    private static final String SOURCE = "source";
    private static final String TARGET = "target";
    private static final String JOB = "job";
    /** Between an event and its detail. */
    private static final String SEPARATOR = "\t";

    private static final long NOTES_MILLIS = 200;
    private static final long NOTES_CLOSE_SECONDS = 5;
    /** Lines that wait to be written; what comes on top is dropped. */
    private static final int MOST_NOTES = 4096;

    private final MoveJournal journal;
    /** Moves that the journal knows for sure. */
    private final Set<UUID> known = ConcurrentHashMap.newKeySet();

    private final ScheduledExecutorService writer = Executors.newSingleThreadScheduledExecutor(
            Thread.ofPlatform().name("move-notes").daemon().factory());
    // Guarded by notes.
    private final List<MoveJournal.Line> notes = new ArrayList<>();
    private long droppedNotes;
    private boolean closed;

    /** Does not own the journal. */
    JournalStore(MoveJournal journal) {
        this.journal = journal;
    }

    @Override
    public void write(SourceJob job, SourceState state, Ownership ownership, long epoch) throws IOException {
        boolean first = isNew(job.id());
        write(
                job.id(),
                SOURCE,
                job.order().uuid(),
                job.order().guest(),
                job.addresses().stream().map(Object::toString).toList(),
                state.phase().name(),
                MoveCodec.encode(state),
                state.phase() == SourcePhase.ENDED,
                job.startedAtMillis(),
                ownership,
                epoch);
        if (first) {
            step(job.id(), JOB, JobCodec.encode(job));
        }
    }

    private boolean isNew(UUID move) throws JournalException {
        if (known.contains(move)) {
            return false;
        }
        boolean first = journal.move(move).isEmpty();
        known.add(move);
        return first;
    }

    @Override
    public void write(TargetJob job, TargetState state, Ownership ownership, long epoch) throws IOException {
        boolean first = isNew(job.id());
        boolean ended = state.phase().isLast();
        write(
                job.id(),
                TARGET,
                job.order().uuid(),
                job.guest(),
                List.of(),
                state.phase().name(),
                MoveCodec.encode(state),
                ended,
                job.startedAtMillis(),
                ownership,
                epoch);
        if (first) {
            step(job.id(), JOB, JobCodec.encode(job));
        }
    }

    private void write(
            UUID move,
            String role,
            UUID guest,
            String name,
            List<String> peers,
            String phase,
            String state,
            boolean ended,
            long startedAtMillis,
            Ownership ownership,
            long epoch)
            throws JournalException {
        Instant now = Instant.now();
        journal.write(
                new MoveRow(
                        move,
                        role,
                        guest,
                        name,
                        peers,
                        phase,
                        state,
                        ended,
                        Instant.ofEpochMilli(startedAtMillis),
                        now),
                new OwnershipRow(guest, name, epoch, ownership.name(), now));
    }

    @Override
    public void step(UUID move, String kind, Map<String, String> undo) throws IOException {
        journal.step(move, kind, JobCodec.text(undo));
    }

    @Override
    public Optional<Map<String, String>> step(UUID move, String kind) {
        try {
            for (StepRow step : journal.openSteps(move)) {
                if (step.kind().equals(kind)) {
                    return Optional.of(JobCodec.map(step.detail()));
                }
            }
        } catch (IOException e) {
            log.atError().addKeyValue("move", move).setCause(e).log("the journal can't be read");
        }
        return Optional.empty();
    }

    @Override
    public void undone(UUID move, String kind) throws IOException {
        for (StepRow step : journal.openSteps(move)) {
            if (step.kind().equals(kind)) {
                journal.undone(step.id());
            }
        }
    }

    @Override
    public void note(UUID move, long atMillis, String event, String detail) {
        synchronized (notes) {
            if (notes.isEmpty() && !closed) {
                var _ = writer.schedule(this::writeNotes, NOTES_MILLIS, TimeUnit.MILLISECONDS);
            }
            if (notes.size() < MOST_NOTES) {
                notes.add(new MoveJournal.Line(move, Instant.ofEpochMilli(atMillis), event + SEPARATOR + detail));
            } else {
                droppedNotes++;
            }
        }
    }

    private void writeNotes() {
        List<MoveJournal.Line> lines;
        long dropped;
        synchronized (notes) {
            lines = List.copyOf(notes);
            notes.clear();
            dropped = droppedNotes;
            droppedNotes = 0;
        }
        if (dropped > 0) {
            log.atWarn().addKeyValue("lines", dropped).log("lines of timelines are lost: the journal is too slow");
        }
        if (lines.isEmpty()) {
            return;
        }
        try {
            journal.note(lines);
        } catch (JournalException | RuntimeException e) {
            log.atWarn().addKeyValue("lines", lines.size()).setCause(e).log("lines of timelines are lost");
        }
    }

    @Override
    public List<Line> notes(UUID move) {
        writeNotes();
        try {
            List<Line> lines = new ArrayList<>();
            journal.timeline(move).forEach(row -> {
                int cut = row.text().indexOf(SEPARATOR);
                String event = cut < 0 ? "note" : row.text().substring(0, cut);
                lines.add(new Line(row.at().toEpochMilli(), event, row.text().substring(cut + 1)));
            });
            return lines;
        } catch (JournalException e) {
            log.atWarn().addKeyValue("move", move).setCause(e).log("the timeline can't be read");
            return List.of();
        }
    }

    // ---- for a new daemon ----

    List<MoveParts.OpenSource> openSources() throws IOException {
        List<MoveParts.OpenSource> open = new ArrayList<>();
        for (MoveRow row : journal.openMoves()) {
            if (row.role().equals(SOURCE)) {
                open.add(new MoveParts.OpenSource(
                        JobCodec.source(jobOf(row.id())), MoveCodec.decodeSource(row.state())));
            }
        }
        return open;
    }

    List<MoveParts.OpenTarget> openTargets() throws IOException {
        List<MoveParts.OpenTarget> open = new ArrayList<>();
        for (MoveRow row : journal.openMoves()) {
            if (row.role().equals(TARGET)) {
                open.add(new MoveParts.OpenTarget(
                        JobCodec.target(jobOf(row.id())), MoveCodec.decodeTarget(row.state())));
            }
        }
        return open;
    }

    /** Only the newest move of a guest counts: whatever came after it has taken the place of its retry. */
    List<SourceJob> openRetries() throws IOException {
        List<MoveRow> all = new ArrayList<>(journal.openMoves());
        all.addAll(journal.endedMoves(Integer.MAX_VALUE));
        Map<UUID, MoveRow> newest = new LinkedHashMap<>();
        for (MoveRow row : all) {
            newest.merge(row.guest(), row, (one, other) -> one.started().isBefore(other.started()) ? other : one);
        }
        List<SourceJob> due = new ArrayList<>();
        for (MoveRow row : newest.values()) {
            if (row.role().equals(SOURCE)
                    && row.ended()
                    && step(row.id(), RETRY).isPresent()) {
                due.add(JobCodec.source(jobOf(row.id())));
            }
        }
        return due;
    }

    private Map<String, String> jobOf(UUID move) throws IOException {
        return step(move, JOB).orElseThrow(() -> new IOException("the journal has no job of move %s".formatted(move)));
    }

    TargetState pastTarget(UUID move) {
        try {
            Optional<MoveRow> row = journal.move(move);
            return row.isPresent() && row.get().role().equals(TARGET)
                    ? MoveCodec.decodeTarget(row.get().state())
                    : TargetState.NO_RECORD;
        } catch (IOException e) {
            throw new IllegalStateException("the journal can't be read", e);
        }
    }

    Optional<OwnershipRow> ownership(UUID guest) {
        try {
            return journal.ownership(guest);
        } catch (JournalException e) {
            throw new IllegalStateException("the journal can't be read", e);
        }
    }

    void own(UUID guest, String name, long epoch) throws IOException {
        journal.write(new OwnershipRow(guest, name, epoch, Ownership.OWNER.name(), Instant.now()));
    }

    @Override
    public void ended(UUID move) throws IOException {
        known.remove(move);
        // The machine's last state said so; what it left behind was undone or is the guest's now.
        for (StepRow step : journal.openSteps(move)) {
            if (!step.kind().equals(JOB)) {
                log.atDebug()
                        .addKeyValue("move", move)
                        .addKeyValue("step", step.kind())
                        .log("left as it is");
            }
        }
    }

    /** Writes what waits. */
    @Override
    public void close() {
        synchronized (notes) {
            closed = true;
        }
        writer.shutdown();
        try {
            if (!writer.awaitTermination(NOTES_CLOSE_SECONDS, TimeUnit.SECONDS)) {
                log.atWarn().log("the journal does not take the last lines of timelines");
                return;
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        }
        writeNotes();
    }
}
