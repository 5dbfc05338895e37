package io.migrationd.migrationd.guest.process;

import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;

/** The descriptors of this process that belong to guests and sockets, by what they are. */
public final class OpenDescriptors {
    private OpenDescriptors() {}

    /** How many there are of each. */
    public static Map<String, Integer> count() throws IOException {
        Map<String, Integer> counts = new TreeMap<>();
        try (Stream<Path> all = Files.list(Path.of("/proc/self/fd"))) {
            for (Path path : (Iterable<Path>) all::iterator) {
                String target = target(path);
                String kind = target.startsWith("socket:") ? "socket" : target;
                if (kind.equals("socket") || kind.startsWith("/memfd:") || kind.contains("userfaultfd")) {
                    counts.merge(kind, 1, Integer::sum);
                }
            }
        }
        return counts;
    }

    private static String target(Path path) throws IOException {
        try {
            return Files.readSymbolicLink(path).toString();
        } catch (NoSuchFileException e) {
            return ""; // The directory stream's own.
        }
    }

    /** Waits until there are those and no others. */
    public static void awaitCount(Map<String, Integer> expected) {
        await("descriptors are as before: " + expected)
                .atMost(Duration.ofSeconds(10))
                .until(OpenDescriptors::count, expected::equals);
    }
}
