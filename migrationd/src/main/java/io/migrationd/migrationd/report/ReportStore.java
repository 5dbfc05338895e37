package io.migrationd.migrationd.report;

import io.migrationd.migrationd.journal.DurableFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Reports in a directory, one file each: {@code START-MILLIS-ID.json}, the start with leading zeroes so that names sort
 * by time. Bounded: the oldest go first. Any thread; one store per directory.
 */
public final class ReportStore {
    private static final Pattern NAME = Pattern.compile("[0-9]{15}-[A-Za-z0-9_.-]{1,100}\\.json");
    private static final long MAX_FILE_BYTES = 16 << 20;

    private final Path directory;
    private final int keep;

    /** A store that keeps the last {@code keep} reports. */
    public ReportStore(Path directory, int keep) {
        if (keep < 1) {
            throw new IllegalArgumentException("keep " + keep + " reports: not 1 or more");
        }
        this.directory = directory;
        this.keep = keep;
    }

    /** Writes a report, whole or not at all, and removes the oldest ones over the bound. */
    public synchronized Path write(MoveReport report) throws IOException {
        Files.createDirectories(directory);
        String safeId = report.id().replaceAll("[^A-Za-z0-9_.-]", "_");
        String name =
                "%015d-%s.json".formatted(report.startMillis(), safeId.substring(0, Math.min(100, safeId.length())));
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("a report needs an id and a start: " + name);
        }
        Path file = directory.resolve(name);
        DurableFiles.replace(file, ReportJson.write(report));
        List<Path> files = files();
        for (Path old : files.subList(0, Math.max(0, files.size() - keep))) {
            DurableFiles.delete(old);
        }
        return file;
    }

    /** The files, oldest first. */
    private List<Path> files() throws IOException {
        if (!Files.isDirectory(directory)) {
            return List.of();
        }
        try (Stream<Path> all = Files.list(directory)) {
            return all.filter(
                            file -> NAME.matcher(file.getFileName().toString()).matches())
                    .sorted(Comparator.comparing(file -> file.getFileName().toString()))
                    .toList();
        }
    }

    /** All that can be read, newest first. A file that is damaged is passed over. */
    public List<MoveReport> list() throws IOException {
        return files().reversed().stream().flatMap(file -> read(file).stream()).toList();
    }

    /** Those of a guest, newest first. */
    public List<MoveReport> ofGuest(String guest) throws IOException {
        return list().stream().filter(report -> report.guest().equals(guest)).toList();
    }

    /** The one of a move. */
    public Optional<MoveReport> find(String id) throws IOException {
        return list().stream().filter(report -> report.id().equals(id)).findFirst();
    }

    private static Optional<MoveReport> read(Path file) {
        try {
            return Files.size(file) > MAX_FILE_BYTES
                    ? Optional.empty()
                    : Optional.of(ReportJson.read(Files.readAllBytes(file)));
        } catch (IOException _) {
            // Removed meanwhile, or not ours: one bad file does not hide the others.
            return Optional.empty();
        }
    }
}
