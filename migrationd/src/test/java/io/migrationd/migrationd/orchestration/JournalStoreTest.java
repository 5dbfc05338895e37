package io.migrationd.migrationd.orchestration;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.journal.MoveJournal;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.move.MoveCodec;
import io.migrationd.migrationd.move.Ownership;
import io.migrationd.migrationd.move.SourceState;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class JournalStoreTest {
    private static final UUID GUEST = UUID.randomUUID();
    private static final MoveSettings SETTINGS =
            new MoveSettings(PostcopyUse.NEVER, false, 0, false, false, 300, 3_000, 0, 0, 0, false, 3);

    @TempDir
    private Path folder;

    private MoveJournal journal;
    private JournalStore store;

    @BeforeEach
    void open() throws IOException {
        journal = MoveJournal.open(folder.resolve("moves.db"), folder.resolve("scratch"));
        store = new JournalStore(journal);
    }

    @AfterEach
    void close() throws IOException {
        store.close();
        journal.close();
    }

    private static SourceJob job(int attempt, long startedAtMillis) {
        return new SourceJob(
                UUID.randomUUID(),
                Path.of("/run/web.qmp"),
                "b",
                List.of(MigrationUri.parse("tcp:192.0.2.1:4444")),
                SETTINGS,
                SETTINGS.order("web", GUEST, "a"),
                attempt,
                startedAtMillis);
    }

    private SourceJob written(int attempt, long startedAtMillis, String phase) throws IOException {
        SourceJob job = job(attempt, startedAtMillis);
        store.write(job, state(phase), Ownership.OWNER, 1);
        return job;
    }

    private static SourceState state(String phase) {
        return MoveCodec.decodeSource(("v=1 phase=%s mode=PRECOPY guest-runs=true epoch=1 own-epoch=1 qemu=FAILED"
                        + " vcpus=RUNNING gone=false heard=DECLINED target-paused=false path-broken=false complete=false"
                        + " held=false recovery=IDLE")
                .formatted(phase));
    }

    @Test
    void failedMoveIsTriedAgainByTheNextDaemon() throws Exception {
        SourceJob failed = written(2, 1_000, "ENDED");
        store.step(failed.id(), MoveStore.RETRY, Map.of());
        assertThat(store.openRetries()).containsExactly(failed);
        store.undone(failed.id(), MoveStore.RETRY);
        assertThat(store.openRetries()).isEmpty();
    }

    @Test
    void linesOutliveTheDaemonThatIsStopped() throws Exception {
        SourceJob job = written(1, 1_000, "MOVING");
        store.note(job.id(), 17, "qemu", "STOP");
        close();
        open();
        assertThat(store.notes(job.id())).containsExactly(new MoveStore.Line(17, "qemu", "STOP"));
    }

    @Test
    void linesAreReadBeforeTheyAreWritten() throws Exception {
        SourceJob job = written(1, 1_000, "MOVING");
        store.note(job.id(), 17, "qemu", "STOP");
        store.note(job.id(), 18, "qemu", "RESUME");
        assertThat(store.notes(job.id())).extracting(MoveStore.Line::detail).containsExactly("STOP", "RESUME");
    }

    @Test
    void moveThatSaysNothingOfItIsNotTriedAgain() throws Exception {
        written(2, 1_000, "ENDED");
        assertThat(store.openRetries()).isEmpty();
    }

    @Test
    void laterMoveOfTheGuestTakesThePlaceOfTheRetry() throws Exception {
        SourceJob failed = written(1, 1_000, "ENDED");
        store.step(failed.id(), MoveStore.RETRY, Map.of());
        SourceJob next = written(2, 5_000, "MOVING");
        assertThat(store.openRetries()).isEmpty();
        store.write(next, state("ENDED"), Ownership.OWNER, 1);
        store.step(next.id(), MoveStore.RETRY, Map.of());
        assertThat(store.openRetries()).containsExactly(next);
    }
}
