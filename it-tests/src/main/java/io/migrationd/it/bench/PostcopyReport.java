package io.migrationd.it.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/**
 * What {@code bench postcopy} has found.
 *
 * @param missing a sentence for each kind that could not be measured
 */
record PostcopyReport(
        long ramBytes,
        int rounds,
        List<FaultSeries> faults,
        List<Series> copies,
        List<RecoveryTime.Recovery> recoveries,
        List<String> missing) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    private static final double MAX_P50_RATIO = 1.5;
    private static final double MAX_P99_RATIO = 3;
    private static final double MIN_THROUGHPUT_RATIO = 0.8;
    private static final double MAX_RECOVERY_SECONDS = 1;

    /** A figure with what it should be. */
    private record Target(String name, double value, String words, boolean met) {
        static Target atMost(String name, double value, double limit) {
            return new Target(name, value, String.format(Locale.ROOT, "at most %.2f", limit), value <= limit);
        }

        static Target atLeast(String name, double value, double limit) {
            return new Target(name, value, String.format(Locale.ROOT, "at least %.2f", limit), value >= limit);
        }
    }

    String text() {
        StringBuilder text = new StringBuilder();
        line(text, "%d MiB of RAM, %d rounds, kinds taking turns; medians of the rounds", ramBytes >> 20, rounds);
        line(text, "a thread of the guest waits for a page, microseconds; (daemon): by its own statistics");
        line(
                text,
                "%-15s %8s %8s %9s %8s   %-19s %s",
                "",
                "p50",
                "p99",
                "max",
                "faults",
                "(daemon) p50, p99",
                "CPU s/GiB");
        for (FaultSeries s : faults) {
            line(
                    text,
                    "%-15s %8.0f %8.0f %9.0f %8d   %-19s %.2f",
                    s.name(),
                    s.p50Micros(),
                    s.p99Micros(),
                    s.maxMicros(),
                    s.waits(),
                    s.server().map(PostcopyReport::percentiles).orElse("-"),
                    s.cpuPerGib());
        }
        missing.forEach(sentence -> line(text, "%s", sentence));
        if (!copies.isEmpty()) {
            line(text, "%-15s %8s %8s %8s   %s", "GiB of RAM/s", "min", "median", "max", "CPU s/GiB");
        }
        for (Series s : copies) {
            line(text, "%-15s %8.2f %8.2f %8.2f   %.2f", s.name(), s.minimum(), s.median(), s.maximum(), s.cpuPerGib());
        }
        if (!recoveries.isEmpty()) {
            line(
                    text,
                    "seconds from the link's return after %d s to: going on %.3f, first page %.3f (medians; longest %.3f)",
                    RecoveryTime.OUTAGE.toSeconds(),
                    median(RecoveryTime.Recovery::active),
                    median(RecoveryTime.Recovery::firstPage),
                    longestRecovery());
        }
        for (Target target : targets()) {
            line(
                    text,
                    "%-46s %6.2f  (target: %s) %s",
                    target.name(),
                    target.value(),
                    target.words(),
                    target.met() ? "met" : "MISSED");
        }
        return text.toString();
    }

    String json() throws JsonProcessingException {
        Map<String, Object> faultKinds = new LinkedHashMap<>();
        for (FaultSeries s : faults) {
            Map<String, Object> kind =
                    new LinkedHashMap<>(times(new FaultTimes(s.waits(), s.p50Micros(), s.p99Micros(), s.maxMicros())));
            s.server().ifPresent(server -> kind.put("server", times(server)));
            kind.put("cpu-seconds-per-gib", s.cpuPerGib());
            faultKinds.put(s.name(), kind);
        }
        Map<String, Object> copyKinds = new LinkedHashMap<>();
        for (Series s : copies) {
            Map<String, Object> kind = new LinkedHashMap<>();
            kind.put("gib-per-second-min", s.minimum());
            kind.put("gib-per-second-median", s.median());
            kind.put("gib-per-second-max", s.maximum());
            kind.put("cpu-seconds-per-gib", s.cpuPerGib());
            kind.put("cpu-seconds-per-gib-by-role", s.cpuPerGibByRole());
            copyKinds.put(s.name(), kind);
        }
        Map<String, Object> targets = new LinkedHashMap<>();
        for (Target target : targets()) {
            targets.put(target.name(), Map.of("value", target.value(), "target", target.words(), "met", target.met()));
        }
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("ram-bytes", ramBytes);
        document.put("rounds", rounds);
        document.put("faults", faultKinds);
        document.put("throughput", copyKinds);
        document.put("recovery-seconds", recoveries);
        document.put("not-measured", missing);
        document.put("targets", targets);
        return JSON.writeValueAsString(document) + "\n";
    }

    private static Map<String, Object> times(FaultTimes times) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("faults", times.waits());
        json.put("p50-micros", times.p50Micros());
        json.put("p99-micros", times.p99Micros());
        json.put("max-micros", times.maxMicros());
        return json;
    }

    private List<Target> targets() {
        List<Target> targets = new ArrayList<>();
        for (boolean preempt : new boolean[] {true, false}) {
            String idle = DaemonFaults.name(preempt, false);
            ratio(idle, FaultLoop.IDLE, FaultSeries::p50Micros)
                    .ifPresent(
                            r -> targets.add(Target.atMost("p50: " + idle + " / " + FaultLoop.IDLE, r, MAX_P50_RATIO)));
        }
        String loaded = DaemonFaults.name(true, true);
        String idle = DaemonFaults.name(true, false);
        ratio(loaded, idle, FaultSeries::p99Micros)
                .ifPresent(r -> targets.add(Target.atMost("p99: " + loaded + " / " + idle, r, MAX_P99_RATIO)));
        rate(DaemonBackground.POSTCOPY)
                .flatMap(post -> rate(DaemonBackground.PRECOPY).map(pre -> post / pre))
                .ifPresent(r -> targets.add(Target.atLeast("throughput: postcopy / precopy", r, MIN_THROUGHPUT_RATIO)));
        if (!recoveries.isEmpty()) {
            targets.add(Target.atMost("recovery: longest, seconds", longestRecovery(), MAX_RECOVERY_SECONDS));
        }
        return targets;
    }

    private Optional<Double> ratio(String above, String below, ToDoubleFunction<FaultSeries> value) {
        return find(above).flatMap(a -> find(below).map(b -> value.applyAsDouble(a) / value.applyAsDouble(b)));
    }

    private Optional<FaultSeries> find(String name) {
        return faults.stream().filter(s -> s.name().equals(name)).findFirst();
    }

    private Optional<Double> rate(String name) {
        return copies.stream().filter(s -> s.name().equals(name)).findFirst().map(Series::median);
    }

    private double median(ToDoubleFunction<RecoveryTime.Recovery> value) {
        return Series.medianOf(
                recoveries.stream().mapToDouble(value).sorted().boxed().toList());
    }

    private double longestRecovery() {
        return recoveries.stream()
                .mapToDouble(RecoveryTime.Recovery::firstPage)
                .max()
                .orElseThrow();
    }

    private static String percentiles(FaultTimes times) {
        return String.format(Locale.ROOT, "%.0f, %.0f", times.p50Micros(), times.p99Micros());
    }

    private static void line(StringBuilder text, String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values)).append('\n');
    }
}
