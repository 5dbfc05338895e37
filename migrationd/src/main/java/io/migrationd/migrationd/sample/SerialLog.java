package io.migrationd.migrationd.sample;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The serial output of a {@link BootGuest}: one file for each QEMU that it ran in, in that order. A line may begin in
 * one and end in the next.
 */
public record SerialLog(List<Path> files) {
    /** The output in {@code files}. */
    public static SerialLog of(Path... files) {
        return new SerialLog(List.of(files));
    }

    /** The last round that the first vCPU has reported, 0 before the first. */
    public int lastRound() throws IOException {
        List<String> lines = lines();
        return lines.isEmpty() ? 0 : roundOf(lines.getLast());
    }

    /** The last round of the second vCPU, as reported by the first, 0 before the first report. */
    public int lastRoundOfSecond() throws IOException {
        List<String> lines = lines();
        return lines.isEmpty() ? 0 : Integer.parseUnsignedInt(lines.getLast(), 10, 18, 16);
    }

    /** Complete lines so far. */
    public int lineCount() throws IOException {
        return lines().size();
    }

    /** What is wrong with the output: errors that the guest found, rounds missing, repeated or garbled. */
    public List<String> damage() throws IOException {
        List<String> damage = new ArrayList<>();
        List<String> lines = lines();
        for (int i = 0; i < lines.size(); i++) {
            String line = lines.get(i);
            if (!line.matches("R[0-9a-f]{8} [0-9a-f]{8}")) {
                damage.add("line %d: %s".formatted(i + 1, line));
            } else if (roundOf(line) != i + 1) {
                damage.add("line %d: expected round %d, got %d".formatted(i + 1, i + 1, roundOf(line)));
            }
        }
        return damage;
    }

    private static int roundOf(String line) {
        return line.startsWith("R") && line.length() >= 9 ? Integer.parseUnsignedInt(line, 1, 9, 16) : 0;
    }

    /** The complete lines. */
    private List<String> lines() throws IOException {
        StringBuilder text = new StringBuilder();
        for (Path file : files) {
            if (Files.exists(file)) {
                text.append(Files.readString(file, StandardCharsets.ISO_8859_1));
            }
        }
        return text.substring(0, text.lastIndexOf("\n") + 1).lines().toList();
    }
}
