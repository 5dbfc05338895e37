package io.migrationd.it.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** A folder in memory for everything a run needs; it goes away with it, also when the run is interrupted. */
final class BenchFolder implements AutoCloseable {
    private static final Path MEMORY = Path.of("/dev/shm");

    private final Path path;

    private BenchFolder(Path path) {
        this.path = path;
    }

    static BenchFolder create() throws IOException {
        return create(MEMORY);
    }

    /** The same, in another folder than one in memory. */
    @SuppressWarnings("MustBeClosedChecker")
    static BenchFolder create(Path parent) throws IOException {
        BenchFolder folder = new BenchFolder(Files.createTempDirectory(parent, "mdbench-"));
        Runtime.getRuntime().addShutdownHook(new Thread(folder::close, "bench-clean-up"));
        return folder;
    }

    Path path() {
        return path;
    }

    /** Makes a folder in it. */
    Path folder(String name) throws IOException {
        return Files.createDirectories(path.resolve(name));
    }

    @Override
    public synchronized void close() {
        if (!Files.exists(path)) {
            return;
        }
        try (Stream<Path> all = Files.walk(path)) {
            for (Path file : all.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
