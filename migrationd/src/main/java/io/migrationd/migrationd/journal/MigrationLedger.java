package io.migrationd.migrationd.journal;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Postcopy migrations that a restarted daemon goes on with: one small file for each guest. Thread-safe. */
public final class MigrationLedger {
    private static final Logger log = LoggerFactory.getLogger(MigrationLedger.class);
    private static final String SUFFIX = ".json";
    private static final ObjectMapper MAPPER = new ObjectMapper();

    private final Path directory;
    private final Map<String, MigrationRecord> records = new ConcurrentHashMap<>();

    /** Reads what earlier daemons have recorded. A file that cannot be read is left alone and named in the log. */
    public MigrationLedger(Path directory) throws IOException {
        this.directory = directory;
        Files.createDirectories(directory);
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.filter(f -> f.toString().endsWith(SUFFIX)).toList()) {
                try {
                    MigrationRecord found = MAPPER.readValue(file.toFile(), MigrationRecord.class);
                    records.put(found.guest(), found);
                } catch (IOException e) {
                    log.atError().addKeyValue("path", file).setCause(e).log("migration record not readable");
                }
            }
        }
    }

    /** Records a migration, instead of what was recorded for that guest. On stable storage when it returns. */
    public synchronized void put(MigrationRecord migration) throws IOException {
        DurableFiles.replace(file(migration.guest()), MAPPER.writeValueAsBytes(migration));
        records.put(migration.guest(), migration);
    }

    /** Changes what is recorded for a guest, if anything is. On stable storage when it returns. */
    public synchronized void change(String guest, UnaryOperator<MigrationRecord> change) throws IOException {
        MigrationRecord old = records.get(guest);
        if (old != null) {
            put(change.apply(old));
        }
    }

    /** What is recorded for a guest. */
    public Optional<MigrationRecord> find(String guest) {
        return Optional.ofNullable(records.get(guest));
    }

    /** All records. */
    public List<MigrationRecord> all() {
        return List.copyOf(records.values());
    }

    /** The migration is over, or the guest is gone. */
    public synchronized void remove(String guest) throws IOException {
        DurableFiles.delete(file(guest));
        records.remove(guest);
    }

    /** Guest names are safe as file names: letters, digits, dot, underscore, dash, no leading dot. */
    private Path file(String guest) {
        return directory.resolve(guest + SUFFIX);
    }
}
