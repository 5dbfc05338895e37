package io.migrationd.it.guest;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The serial output of a {@link LinuxGuest}, one file for each QEMU that it ran in, in that order. A line may begin in
 * one and end in the next.
 */
public record LinuxLog(List<Path> files) {
    private static final int FIELDS = 9;

    /** The output in {@code files}. */
    public static LinuxLog of(Path... files) {
        return new LinuxLog(List.of(files));
    }

    /**
     * What it says of itself each second.
     *
     * @param clockMillis its CLOCK_MONOTONIC
     * @param gapMillis the longest time between two looks at the clock since the line before
     * @param echoedBytes what it has sent back by TCP
     */
    public record Line(
            long number,
            long clockMillis,
            long pageWrites,
            long pagesChecked,
            long damaged,
            long clockStepsBack,
            long gapMillis,
            long echoedBytes) {}

    /** The last line, if there is one. */
    public Optional<Line> last() throws IOException {
        return lines().stream()
                .filter(line -> line.startsWith("L "))
                .reduce((_, last) -> last)
                .flatMap(LinuxLog::parse);
    }

    /** Its clock source, once it is up. */
    public Optional<String> clockSource() throws IOException {
        return lines().stream()
                .filter(line -> line.startsWith("G 1 "))
                .map(line -> line.split(" ", -1)[2])
                .findFirst();
    }

    /** What is wrong: damage that it found, lines that are missing, repeated or garbled, a clock that goes back. */
    public List<String> damage() throws IOException {
        List<String> damage = new ArrayList<>();
        long number = 0;
        long clock = 0;
        for (String text : lines()) {
            if (text.startsWith("L ")) {
                Optional<Line> line = parse(text);
                if (line.isEmpty()
                        || line.get().number() != number + 1
                        || line.get().clockMillis() < clock) {
                    damage.add("expected line %d, later than %d ms, got: %s".formatted(number + 1, clock, text));
                }
                number++;
                clock = line.map(Line::clockMillis).orElse(clock);
                if (line.isPresent() && line.get().damaged() + line.get().clockStepsBack() > 0) {
                    damage.add(text);
                }
            } else if (!text.startsWith("G 1 ")) {
                damage.add(text);
            }
        }
        return damage;
    }

    private static Optional<Line> parse(String text) {
        if (!text.matches("L( \\d+){%d}".formatted(FIELDS - 1))) {
            return Optional.empty();
        }
        String[] f = text.split(" ", -1);
        long[] values = new long[FIELDS];
        for (int i = 1; i < FIELDS; i++) {
            values[i] = Long.parseLong(f[i]);
        }
        return Optional.of(
                new Line(values[1], values[2], values[3], values[4], values[5], values[6], values[7], values[8]));
    }

    /** The complete lines, from the guest's own first one on: what firmware and kernel say before is not ours. */
    private List<String> lines() throws IOException {
        StringBuilder text = new StringBuilder();
        for (Path file : files) {
            if (Files.exists(file)) {
                text.append(Files.readString(file, StandardCharsets.ISO_8859_1));
            }
        }
        return text.substring(0, text.lastIndexOf("\n") + 1)
                .lines()
                .map(String::strip)
                .dropWhile(line -> !line.startsWith("G 1 "))
                .toList();
    }
}
