package io.migrationd.migrationd.config;

import java.util.List;
import java.util.stream.Collectors;

/** A configuration and where each of its values came from. */
public record LoadedConfig(DaemonConfig config, List<Entry> entries) {
    /**
     * One key.
     *
     * @param text the value as TOML
     * @param origin {@code default}, {@code FILE:LINE}, {@code environment NAME} or {@code command line}
     */
    public record Entry(String key, String text, String origin) {}

    /** What {@code --print-config} shows: a TOML file with the origin of each value behind it. */
    public String print() {
        int width = entries.stream()
                .mapToInt(entry -> assignment(entry).length())
                .max()
                .orElse(0);
        return entries.stream()
                .map(entry -> "%-" + width + "s  # %s%n")
                .collect(Collectors.joining())
                .formatted(entries.stream()
                        .flatMap(entry -> List.of(assignment(entry), entry.origin()).stream())
                        .toArray());
    }

    private static String assignment(Entry entry) {
        return entry.key() + " = " + entry.text();
    }
}
