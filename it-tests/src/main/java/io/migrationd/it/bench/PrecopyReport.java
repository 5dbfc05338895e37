package io.migrationd.it.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** What {@code bench precopy} has found. */
record PrecopyReport(String qemuVersion, int rounds, List<Series> series, Memory memory) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** Of the two daemons the higher figure. */
    record Memory(double heapMib, double heapSparseMib, double peakResidentMib) {}

    /**
     * A ratio of medians with what it should be.
     *
     * @param target at least this
     */
    private record Ratio(String name, String above, String below, double target) {}

    private static final List<Ratio> RATIOS = List.of(
            new Ratio("daemon / qemu", "daemon", "qemu", 1.5),
            new Ratio("daemon / qemu-anonymous", "daemon", "qemu-anonymous", 1.5),
            new Ratio("daemon / raw", "daemon", "raw", 0.75),
            new Ratio("daemon / raw-stored", "daemon", "raw-stored", 0.75),
            new Ratio("zero-holes / full pages", "zero-holes", "daemon", 5),
            new Ratio("zero-written / full pages", "zero-written", "daemon", 5));

    String text() {
        StringBuilder text = new StringBuilder();
        line(text, "QEMU %s, %d rounds, kinds taking turns; GiB of RAM per second", qemuVersion, rounds);
        line(text, "%-15s %8s %8s %8s %8s   %s", "", "min", "median", "max", "cold", "CPU s/GiB (median)");
        for (Series s : series) {
            line(
                    text,
                    "%-15s %8.2f %8.2f %8.2f %8.2f   %.2f = %s",
                    s.name(),
                    s.minimum(),
                    s.median(),
                    s.maximum(),
                    s.cold(),
                    s.cpuPerGib(),
                    roles(s));
        }
        for (Ratio ratio : RATIOS) {
            value(ratio)
                    .ifPresent(value -> line(
                            text,
                            "%-27s %6.2f  (target: at least %.2f) %s",
                            ratio.name(),
                            value,
                            ratio.target(),
                            value >= ratio.target() ? "met" : "MISSED"));
        }
        line(text, "daemon heap, most used: %.0f MiB, sparse guest %.0f MiB", memory.heapMib(), memory.heapSparseMib());
        line(text, "daemon resident, most: %.0f MiB", memory.peakResidentMib());
        return text.toString();
    }

    String json() throws JsonProcessingException {
        Map<String, Object> kinds = new LinkedHashMap<>();
        for (Series s : series) {
            Map<String, Object> kind = new LinkedHashMap<>();
            kind.put("bytes", s.bytes());
            kind.put("gib-per-second-min", s.minimum());
            kind.put("gib-per-second-median", s.median());
            kind.put("gib-per-second-max", s.maximum());
            kind.put("gib-per-second-cold", s.cold());
            kind.put("cpu-seconds-per-gib", s.cpuPerGib());
            kind.put("cpu-seconds-per-gib-by-role", s.cpuPerGibByRole());
            kinds.put(s.name(), kind);
        }
        Map<String, Object> ratios = new LinkedHashMap<>();
        for (Ratio ratio : RATIOS) {
            value(ratio).ifPresent(value -> ratios.put(ratio.name(), Map.of("value", value, "target", ratio.target())));
        }
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("qemu-version", qemuVersion);
        document.put("rounds", rounds);
        document.put("kinds", kinds);
        document.put("ratios", ratios);
        document.put("daemon-heap-mib", memory.heapMib());
        document.put("daemon-heap-sparse-mib", memory.heapSparseMib());
        document.put("daemon-peak-resident-mib", memory.peakResidentMib());
        return JSON.writeValueAsString(document) + "\n";
    }

    private Optional<Double> value(Ratio ratio) {
        return find(ratio.above()).flatMap(above -> find(ratio.below()).map(below -> above.median() / below.median()));
    }

    private Optional<Series> find(String name) {
        return series.stream().filter(s -> s.name().equals(name)).findFirst();
    }

    private static String roles(Series series) {
        StringBuilder text = new StringBuilder();
        series.cpuPerGibByRole()
                .forEach((role, cpu) ->
                        text.append(String.format(Locale.ROOT, "%s%s %.2f", text.isEmpty() ? "" : " + ", role, cpu)));
        return text.toString();
    }

    private static void line(StringBuilder text, String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values)).append('\n');
    }
}
