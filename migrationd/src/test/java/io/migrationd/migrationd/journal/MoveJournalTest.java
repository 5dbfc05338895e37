package io.migrationd.migrationd.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.journal.MoveJournal.Line;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Journal of moves")
class MoveJournalTest {
    private static final UUID GUEST = UUID.fromString("6f1c1d3e-0000-4000-8000-000000000001");
    private static final UUID MOVE = UUID.fromString("6f1c1d3e-0000-4000-8000-000000000002");
    private static final Instant NOW = Instant.ofEpochMilli(1_700_000_000_000L);

    @TempDir
    private Path directory;

    private MoveJournal open() throws IOException {
        return MoveJournal.open(directory.resolve("moves.db"), directory.resolve("native"));
    }

    private static MoveRow move(UUID id, String phase, boolean ended, long updated) {
        return new MoveRow(
                id,
                "source",
                GUEST,
                "web01",
                List.of("b:7001", "c:7001"),
                phase,
                "v=1",
                ended,
                NOW,
                NOW.plusMillis(updated));
    }

    private static OwnershipRow owner(long epoch, String state) {
        return new OwnershipRow(GUEST, "web01", epoch, state, NOW);
    }

    @Test
    void readsWhatEarlierDaemonsWrote() throws IOException {
        long before = System.nanoTime();
        try (MoveJournal journal = open()) {
            System.out.printf("journal: first open %d ms%n", (System.nanoTime() - before) / 1_000_000);
            journal.write(move(MOVE, "MOVING", false, 1), owner(1, "OWNER"));
            long socket = journal.step(MOVE, "relay-socket", "/run/x");
            journal.step(MOVE, "capabilities", "events=off");
            journal.undone(socket);
            journal.note(List.of(new Line(MOVE, NOW, "begun")));
            journal.write(move(MOVE, "RELEASED", false, 2), owner(2, "RELEASED"));
        }
        before = System.nanoTime();
        try (MoveJournal journal = open()) {
            System.out.printf("journal: second open %d ms%n", (System.nanoTime() - before) / 1_000_000);
            assertThat(journal.openMoves()).containsExactly(move(MOVE, "RELEASED", false, 2));
            assertThat(journal.move(MOVE)).contains(move(MOVE, "RELEASED", false, 2));
            assertThat(journal.ownership(GUEST)).contains(owner(2, "RELEASED"));
            assertThat(journal.ownership(MOVE)).isEmpty();
            assertThat(journal.openSteps(MOVE)).extracting(StepRow::kind).containsExactly("capabilities");
            assertThat(journal.timeline(MOVE)).containsExactly(new NoteRow(NOW, "begun"));
        }
    }

    /** SQLite ignores a change of it within a transaction. */
    @Test
    void waitsForTheDiskForAllButTheTimeline() throws Exception {
        int normal = 1;
        int full = 2;
        try (MoveJournal journal = open()) {
            journal.write(move(MOVE, "MOVING", false, 1), owner(1, "OWNER"));
            assertThat(journal.synchronousLevel()).isEqualTo(full);
            journal.note(List.of(new Line(MOVE, NOW, "stopped")));
            assertThat(journal.synchronousLevel()).isEqualTo(normal);
            assertThat(journal.move(MOVE)).isPresent();
            journal.write(move(MOVE, "RELEASED", false, 2), owner(2, "RELEASED"));
            assertThat(journal.synchronousLevel()).isEqualTo(full);
            journal.note(List.of(new Line(MOVE, NOW, "released")));
            journal.step(MOVE, "incoming", "pid=1");
            assertThat(journal.synchronousLevel()).isEqualTo(full);
        }
    }

    @Test
    void dropsLinesOfMovesThatItDoesNotKnow() throws Exception {
        try (MoveJournal journal = open()) {
            journal.write(move(MOVE, "MOVING", false, 1), owner(1, "OWNER"));
            UUID unknown = UUID.randomUUID();
            journal.note(List.of(new Line(unknown, NOW, "lost"), new Line(MOVE, NOW, "kept")));
            assertThat(journal.timeline(unknown)).isEmpty();
            assertThat(journal.timeline(MOVE)).containsExactly(new NoteRow(NOW, "kept"));
        }
    }

    @Test
    void keepsTheNewestOfWhatIsOver() throws IOException {
        try (MoveJournal journal = open()) {
            journal.write(move(MOVE, "MOVING", false, 0), owner(1, "OWNER"));
            for (int i = 1; i <= 210; i++) {
                UUID id = new UUID(1, i);
                journal.write(move(id, "ENDED", true, i), owner(i, "OWNER"));
                journal.note(List.of(new Line(id, NOW, "over")));
            }
            assertThat(journal.endedMoves(1000))
                    .hasSize(200)
                    .first()
                    .isEqualTo(move(new UUID(1, 210), "ENDED", true, 210));
            assertThat(journal.timeline(new UUID(1, 1))).isEmpty();
            assertThat(journal.openMoves()).hasSize(1);
        }
    }

    @Test
    void isWrittenByManyThreads() throws Exception {
        try (MoveJournal journal = open();
                ExecutorService threads = Executors.newFixedThreadPool(4)) {
            journal.write(move(MOVE, "MOVING", false, 1), owner(1, "OWNER"));
            List<Callable<Long>> writes = new ArrayList<>();
            for (int i = 0; i < 40; i++) {
                String detail = "step " + i;
                writes.add(() -> journal.step(MOVE, "relay-socket", detail));
            }
            for (Future<Long> write : threads.invokeAll(writes)) {
                assertThat(write.get()).isPositive();
            }
            assertThat(journal.openSteps(MOVE)).hasSize(40);
        }
    }

    @Test
    void aStepNeedsItsMove() throws IOException {
        try (MoveJournal journal = open()) {
            assertThatThrownBy(() -> journal.step(MOVE, "relay-socket", "x"))
                    .isInstanceOf(JournalException.class)
                    .hasMessageContaining("can't write a step");
            journal.write(move(MOVE, "MOVING", false, 1), owner(1, "OWNER"));
            assertThat(journal.openMoves()).hasSize(1);
        }
    }

    @Test
    void aDamagedFileIsAnErrorAndStays() throws IOException {
        Path file = directory.resolve("moves.db");
        Files.writeString(file, "this was a journal once, and somebody has written over it ".repeat(100));
        byte[] before = Files.readAllBytes(file);

        assertThatThrownBy(this::open)
                .isInstanceOf(JournalException.class)
                .hasMessageContaining("can't be opened")
                .hasMessageContaining(file.toString());

        assertThat(Files.readAllBytes(file)).isEqualTo(before);
    }

    @Test
    void aSecondDaemonIsRefused() throws IOException {
        MoveJournal first = open();
        try (first) {
            assertThatThrownBy(this::open).isInstanceOf(JournalException.class).hasMessageContaining("locked");
        }
    }

    @Test
    void losesNothingThatWasWrittenWhenItsProcessIsKilled() throws Exception {
        for (int round = 0; round < 3; round++) {
            Process writer = new ProcessBuilder(
                            Path.of(System.getProperty("java.home"), "bin", "java")
                                    .toString(),
                            "-Xmx64m",
                            "--enable-native-access=ALL-UNNAMED",
                            "-cp",
                            classPath(
                                    MoveJournalWriter.class,
                                    MoveJournal.class,
                                    org.sqlite.JDBC.class,
                                    org.slf4j.Logger.class),
                            MoveJournalWriter.class.getName(),
                            directory.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            long written = 0;
            try (BufferedReader lines =
                    new BufferedReader(new InputStreamReader(writer.getInputStream(), StandardCharsets.UTF_8))) {
                for (int i = 0; i < 60 + 17 * round; i++) {
                    String line = lines.readLine();
                    assertThat(line).as("the writer goes on").isNotNull();
                    written = Long.parseLong(line);
                }
                // Not the process's own method: that closes its output, with lines that it wrote before.
                writer.toHandle().destroyForcibly();
                writer.waitFor();
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    written = Long.parseLong(line);
                }
            }
            try (MoveJournal journal = open()) {
                OwnershipRow ownership = journal.ownership(GUEST).orElseThrow();
                assertThat(ownership.epoch()).isBetween(written, written + 1);
                assertThat(journal.move(MOVE).orElseThrow().phase()).isEqualTo("P" + ownership.epoch());
            }
        }
    }

    private static String classPath(Class<?>... classes) {
        return Arrays.stream(classes)
                .map(c -> c.getProtectionDomain().getCodeSource().getLocation().getPath())
                .distinct()
                .collect(Collectors.joining(":"));
    }
}
