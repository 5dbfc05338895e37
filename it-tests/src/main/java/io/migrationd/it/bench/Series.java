package io.migrationd.it.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.ToDoubleFunction;

/** All samples of one kind. The first one is kept apart: it shows a cold start. */
final class Series {
    private final String name;
    private final long bytes;
    private final List<Sample> samples = new ArrayList<>();

    /**
     * An empty series.
     *
     * @param bytes of RAM that each sample copies
     */
    Series(String name, long bytes) {
        this.name = name;
        this.bytes = bytes;
    }

    void add(Sample sample) {
        samples.add(sample);
    }

    String name() {
        return name;
    }

    long bytes() {
        return bytes;
    }

    /** GiB per second of the sample that was not counted. */
    double cold() {
        return gib() / samples.getFirst().seconds();
    }

    double minimum() {
        return rates().getFirst();
    }

    double median() {
        return medianOf(rates());
    }

    double maximum() {
        return rates().getLast();
    }

    /** CPU seconds per GiB of all processes together, the median. */
    double cpuPerGib() {
        return medianOf(sorted(Sample::totalCpuSeconds)) / gib();
    }

    /** CPU seconds per GiB of each process, medians. */
    Map<String, Double> cpuPerGibByRole() {
        Map<String, Double> byRole = new TreeMap<>();
        for (String role : samples.getFirst().cpuSeconds().keySet()) {
            byRole.put(role, medianOf(sorted(s -> s.cpuSeconds().getOrDefault(role, 0.0))) / gib());
        }
        return byRole;
    }

    private double gib() {
        return bytes / ByteSize.GIB;
    }

    private List<Double> rates() {
        return sorted(s -> gib() / s.seconds());
    }

    private List<Double> sorted(ToDoubleFunction<Sample> value) {
        return samples.stream().skip(1).map(value::applyAsDouble).sorted().toList();
    }

    static double medianOf(List<Double> sorted) {
        int middle = sorted.size() / 2;
        return sorted.size() % 2 == 1 ? sorted.get(middle) : (sorted.get(middle - 1) + sorted.get(middle)) / 2;
    }
}
