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
import java.util.OptionalDouble;
import java.util.function.Function;

/** What {@code bench relay} has found. */
record RelayReport(
        String sourceVersion,
        String targetVersion,
        long ramBytes,
        boolean freshMemory,
        long downtimeLimitMillis,
        int rounds,
        List<MoveSeries> moves,
        List<FaultSeries> faults) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
    private static final double LEAST_RATIO = 0.8;
    private static final double MOST_DOWNTIME_MILLIS = 20;
    private static final double MOST_HOP_MICROS = 100;
    private static final int HOPS = 2;

    /** A figure with what it should be. */
    private record Target(String name, double value, String words, boolean met) {}

    private static final Map<String, Function<MoveTimes, Optional<Double>>> PARTS = parts();

    private static Map<String, Function<MoveTimes, Optional<Double>>> parts() {
        Map<String, Function<MoveTimes, Optional<Double>>> parts = new LinkedHashMap<>();
        parts.put("downtime", MoveTimes::downtimeMillis);
        parts.put("to-stop", times -> boxed(times.stopMillis()));
        parts.put("gate", times -> Optional.of(times.gateMillis()));
        parts.put("rest", times -> Optional.of(times.restMillis()));
        parts.put("start", times -> boxed(times.startMillis()));
        parts.put("by-qemu", times -> Optional.of(times.qemuMillis()));
        return parts;
    }

    private static Optional<Double> boxed(OptionalDouble value) {
        return value.isPresent() ? Optional.of(value.getAsDouble()) : Optional.empty();
    }

    String text() {
        StringBuilder text = new StringBuilder();
        line(
                text,
                "QEMU %s to %s, %d MiB of RAM %s, downtime limit %d ms, %d rounds, kinds taking turns",
                sourceVersion,
                targetVersion,
                ramBytes >> 20,
                freshMemory ? "that comes page by page" : "allocated before",
                downtimeLimitMillis,
                rounds);
        if (!moves.isEmpty()) {
            line(text, "%-15s %8s %8s %8s   %s", "GiB/s", "min", "median", "max", "CPU s/GiB (medians)");
        }
        for (MoveSeries s : moves) {
            MoveSeries.Spread rate = s.rate();
            line(
                    text,
                    "%-15s %8.2f %8.2f %8.2f   %s",
                    s.kind().word(),
                    rate.least(),
                    rate.median(),
                    rate.most(),
                    cpu(s));
        }
        downtimes(text);
        if (!faults.isEmpty()) {
            line(text, "%-15s %8s %8s %8s %8s   %s", "fault, us", "p50", "p99", "max", "faults", "CPU s/GiB");
        }
        for (FaultSeries s : faults) {
            line(
                    text,
                    "%-15s %8.0f %8.0f %8.0f %8d   %.2f",
                    s.name(),
                    s.p50Micros(),
                    s.p99Micros(),
                    s.maxMicros(),
                    s.waits(),
                    s.cpuPerGib());
        }
        for (Target target : targets()) {
            line(
                    text,
                    "%-46s %8.2f  (target: %s) %s",
                    target.name(),
                    target.value(),
                    target.words(),
                    target.met() ? "met" : "MISSED");
        }
        return text.toString();
    }

    private void downtimes(StringBuilder text) {
        List<MoveSeries> running = moves.stream()
                .filter(series -> series.spread(MoveTimes::downtimeMillis).isPresent())
                .toList();
        if (running.isEmpty()) {
            return;
        }
        line(text, "%-15s %22s = %s", "ms, medians", "downtime (min - max)", "to stop + gate + rest + start; by QEMU");
        for (MoveSeries s : running) {
            MoveSeries.Spread whole = s.spread(MoveTimes::downtimeMillis).orElseThrow();
            line(
                    text,
                    "%-15s %6.1f (%5.1f - %5.1f) = %.1f + %.1f + %.1f + %.1f; %.0f",
                    s.kind().word(),
                    whole.median(),
                    whole.least(),
                    whole.most(),
                    median(s, "to-stop"),
                    median(s, "gate"),
                    median(s, "rest"),
                    median(s, "start"),
                    median(s, "by-qemu"));
        }
    }

    private static double median(MoveSeries series, String part) {
        return series.spread(PARTS.getOrDefault(part, times -> Optional.empty()))
                .map(MoveSeries.Spread::median)
                .orElse(0.0);
    }

    private static String cpu(MoveSeries series) {
        StringBuilder text = new StringBuilder();
        for (String role : series.roles()) {
            text.append(
                    String.format(Locale.ROOT, "%s%s %.2f", text.isEmpty() ? "" : " + ", role, series.cpuPerGib(role)));
        }
        return text.toString();
    }

    private List<Target> targets() {
        List<Target> targets = new ArrayList<>();
        ratio(targets, RelayKind.RELAYED_STILL, RelayKind.DIRECT_STILL);
        ratio(targets, RelayKind.RELAYED, RelayKind.DIRECT);
        for (RelayKind below : List.of(RelayKind.DIRECT_ALONE, RelayKind.DIRECT, RelayKind.DIRECT_UNIX)) {
            both(RelayKind.RELAYED, below, MoveTimes::downtimeMillis).ifPresent(pair -> {
                double more = pair[0] - pair[1];
                targets.add(new Target(
                        "downtime, relayed - %s, ms".formatted(below.word()),
                        more,
                        "under 20",
                        more < MOST_DOWNTIME_MILLIS));
            });
        }
        hop(targets, RelayKind.RELAYED_IDLE, RelayKind.DIRECT_IDLE);
        hop(targets, RelayKind.RELAYED_LOADED, RelayKind.DIRECT_LOADED);
        return targets;
    }

    private void ratio(List<Target> targets, RelayKind above, RelayKind below) {
        both(above, below, times -> Optional.of(times.gibPerSecond())).ifPresent(pair -> {
            double ratio = pair[0] / pair[1];
            targets.add(new Target(
                    "throughput, %s / %s".formatted(above.word(), below.word()),
                    ratio,
                    "at least 0.8",
                    ratio >= LEAST_RATIO));
        });
    }

    private void hop(List<Target> targets, RelayKind above, RelayKind below) {
        Optional<FaultSeries> relayed = fault(above);
        Optional<FaultSeries> direct = fault(below);
        if (relayed.isPresent() && direct.isPresent()) {
            double more = (relayed.get().p50Micros() - direct.get().p50Micros()) / HOPS;
            targets.add(new Target(
                    "p50 of a fault, more per hop, %s, us".formatted(above.isLoaded() ? "loaded" : "idle"),
                    more,
                    "under 100",
                    more < MOST_HOP_MICROS));
        }
    }

    private Optional<FaultSeries> fault(RelayKind kind) {
        return faults.stream().filter(s -> s.name().equals(kind.word())).findFirst();
    }

    private Optional<double[]> both(RelayKind above, RelayKind below, Function<MoveTimes, Optional<Double>> figure) {
        return median(above, figure).flatMap(a -> median(below, figure).map(b -> new double[] {a, b}));
    }

    private Optional<Double> median(RelayKind kind, Function<MoveTimes, Optional<Double>> figure) {
        return moves.stream()
                .filter(s -> s.kind() == kind)
                .findFirst()
                .flatMap(s -> s.spread(figure))
                .map(MoveSeries.Spread::median);
    }

    String json() throws JsonProcessingException {
        Map<String, Object> moveKinds = new LinkedHashMap<>();
        for (MoveSeries s : moves) {
            Map<String, Object> kind = new LinkedHashMap<>();
            kind.put("gib-per-second", s.rate());
            Map<String, Double> cpu = new LinkedHashMap<>();
            s.roles().forEach(role -> cpu.put(role, s.cpuPerGib(role)));
            kind.put("cpu-seconds-per-gib", cpu);
            PARTS.forEach((name, part) -> s.spread(part).ifPresent(spread -> kind.put(name + "-millis", spread)));
            moveKinds.put(s.kind().word(), kind);
        }
        Map<String, Object> faultKinds = new LinkedHashMap<>();
        for (FaultSeries s : faults) {
            faultKinds.put(
                    s.name(),
                    Map.of(
                            "faults", s.waits(),
                            "p50-micros", s.p50Micros(),
                            "p99-micros", s.p99Micros(),
                            "max-micros", s.maxMicros(),
                            "cpu-seconds-per-gib", s.cpuPerGib()));
        }
        Map<String, Object> targets = new LinkedHashMap<>();
        for (Target target : targets()) {
            targets.put(target.name(), Map.of("value", target.value(), "target", target.words(), "met", target.met()));
        }
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("source-qemu-version", sourceVersion);
        document.put("target-qemu-version", targetVersion);
        document.put("ram-bytes", ramBytes);
        document.put("fresh-memory", freshMemory);
        document.put("downtime-limit-millis", downtimeLimitMillis);
        document.put("rounds", rounds);
        document.put("precopy", moveKinds);
        document.put("postcopy", faultKinds);
        document.put("targets", targets);
        return JSON.writeValueAsString(document) + "\n";
    }

    private static void line(StringBuilder text, String format, Object... values) {
        text.append(String.format(Locale.ROOT, format, values)).append('\n');
    }
}
