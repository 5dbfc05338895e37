package io.migrationd.it.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Function;

/** All precopy moves of one kind. The first one is not counted: it is cold. */
final class MoveSeries {
    private final RelayKind kind;
    private final List<MoveTimes> moves = new ArrayList<>();

    private MoveSeries(RelayKind kind) {
        this.kind = kind;
    }

    /** The one of that kind, which is made if there is none. */
    static MoveSeries of(List<MoveSeries> all, RelayKind kind) {
        Optional<MoveSeries> known =
                all.stream().filter(series -> series.kind == kind).findFirst();
        if (known.isPresent()) {
            return known.get();
        }
        MoveSeries made = new MoveSeries(kind);
        all.add(made);
        return made;
    }

    RelayKind kind() {
        return kind;
    }

    void add(MoveTimes times) {
        moves.add(times);
    }

    /** Least, median and most of a figure. */
    record Spread(double least, double median, double most) {}

    /** Of the counted moves that have this figure; empty if none has. */
    Optional<Spread> spread(Function<MoveTimes, Optional<Double>> figure) {
        List<Double> sorted = moves.stream()
                .skip(1)
                .flatMap(times -> figure.apply(times).stream())
                .sorted()
                .toList();
        return sorted.isEmpty()
                ? Optional.empty()
                : Optional.of(new Spread(sorted.getFirst(), Series.medianOf(sorted), sorted.getLast()));
    }

    Spread rate() {
        return spread(times -> Optional.of(times.gibPerSecond())).orElseThrow();
    }

    Set<String> roles() {
        return new TreeSet<>(moves.getFirst().cpuSeconds().keySet());
    }

    double cpuPerGib(String role) {
        return spread(times -> Optional.of(times.cpuPerGib(role))).orElseThrow().median();
    }
}
