package io.migrationd.migrationd.journal;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.MigrationUri;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * Which guests this host has given away: one small file per guest, on stable storage before the destination may start
 * the guest. A guest in the ledger is not started here, also not after a restart of the daemon. Keyed by uuid where the
 * guest has one, else by name. Thread-safe.
 */
public final class OwnershipLedger {
    private static final String SUFFIX = ".released";

    private final Path directory;
    private final Map<String, String> released = new ConcurrentHashMap<>();

    /** Reads what earlier daemons have recorded. */
    public OwnershipLedger(Path directory) throws IOException {
        this.directory = directory;
        Files.createDirectories(directory);
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.filter(f -> f.toString().endsWith(SUFFIX)).toList()) {
                String name = String.valueOf(file.getFileName());
                released.put(
                        name.substring(0, name.length() - SUFFIX.length()),
                        Files.readString(file).strip());
            }
        }
    }

    /** Gives the guest away. On stable storage when it returns. */
    public void release(Guest guest, MigrationUri destination) throws IOException {
        String key = key(guest);
        String text = "%s at %s".formatted(destination, Instant.now());
        DurableFiles.replace(directory.resolve(key + SUFFIX), (text + "\n").getBytes(StandardCharsets.UTF_8));
        released.put(key, text);
    }

    /** A guest has come in, or was removed: what an earlier copy of it did does not count any more. */
    public void forget(Guest guest) throws IOException {
        for (String key : List.copyOf(released.keySet())) {
            if (key.startsWith(guest.name() + "@")) {
                DurableFiles.delete(directory.resolve(key + SUFFIX));
                released.remove(key);
            }
        }
    }

    /** Whether the guest must not run here. */
    public boolean isReleased(Guest guest) {
        return released.containsKey(key(guest));
    }

    /** To whom and when, for messages. */
    public String releasedTo(Guest guest) {
        return released.getOrDefault(key(guest), "nobody");
    }

    /** A local copy: its name on this host, which has no {@code @}, and its identity. */
    private static String key(Guest guest) {
        return guest.name() + "@" + guest.uuid().map(UUID::toString).orElse("-");
    }
}
