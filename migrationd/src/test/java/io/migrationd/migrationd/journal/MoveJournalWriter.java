package io.migrationd.migrationd.journal;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.UUID;

/** Writes to a journal until it is killed, and says what it has written. */
final class MoveJournalWriter {
    private MoveJournalWriter() {}

    public static void main(String[] args) throws IOException {
        Path directory = Path.of(args[0]);
        UUID guest = UUID.fromString("6f1c1d3e-0000-4000-8000-000000000001");
        UUID move = UUID.fromString("6f1c1d3e-0000-4000-8000-000000000002");
        try (MoveJournal journal = MoveJournal.open(directory.resolve("moves.db"), directory.resolve("native"))) {
            long epoch = journal.ownership(guest).map(OwnershipRow::epoch).orElse(0L);
            while (true) {
                epoch++;
                Instant now = Instant.ofEpochMilli(epoch);
                journal.write(
                        new MoveRow(move, "source", guest, "web01", List.of(), "P" + epoch, "v=1", false, now, now),
                        new OwnershipRow(guest, "web01", epoch, "OWNER", now));
                System.out.println(epoch);
            }
        }
    }
}
