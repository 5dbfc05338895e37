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
import io.migrationd.migrationd.move.TargetPhase;
import io.migrationd.migrationd.move.TargetState;
import java.io.IOException;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The journal, as moves use it: a move's job is a step of it that is never undone. */
final class JournalStore implements MoveStore {
    private static final Logger log = LoggerFactory.getLogger(JournalStore.class);
    private static final String SOURCE = "source";
    private static final String TARGET = "target";
    private static final String JOB = "job";
    /** Between an event and its detail. */
    private static final String SEPARATOR = "\t";

    private final MoveJournal journal;

    JournalStore(MoveJournal journal) {
        this.journal = journal;
    }

    @Override
    public void write(SourceJob job, SourceState state, Ownership ownership, long epoch) throws IOException {
        boolean first = journal.move(job.id()).isEmpty();
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

    @Override
    public void write(TargetJob job, TargetState state, Ownership ownership, long epoch) throws IOException {
        boolean first = journal.move(job.id()).isEmpty();
        boolean ended = state.phase() == TargetPhase.ENDED
                || state.phase() == TargetPhase.DECLINED
                || state.phase() == TargetPhase.UNSURE;
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
        try {
            if (journal.move(move).isPresent()) {
                journal.note(move, Instant.ofEpochMilli(atMillis), event + SEPARATOR + detail);
            }
        } catch (JournalException e) {
            log.atWarn().addKeyValue("move", move).setCause(e).log("a line of the timeline is lost");
        }
    }

    @Override
    public List<Line> notes(UUID move) {
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
}
