package io.migrationd.it.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.ToDoubleFunction;

/** All runs of one kind; percentiles are medians of the runs' own. The first run is not counted: it is cold. */
final class FaultSeries {
    private final String name;
    private final List<FaultSample> samples = new ArrayList<>();

    /** An empty series. */
    FaultSeries(String name) {
        this.name = name;
    }

    void add(FaultSample sample) {
        samples.add(sample);
    }

    String name() {
        return name;
    }

    /** All faults that are in the figures. */
    long waits() {
        return counted().stream().mapToLong(sample -> sample.guest().waits()).sum();
    }

    double p50Micros() {
        return median(sample -> sample.guest().p50Micros());
    }

    double p99Micros() {
        return median(sample -> sample.guest().p99Micros());
    }

    /** The longest wait of all runs. */
    double maxMicros() {
        return counted().stream()
                .mapToDouble(sample -> sample.guest().maxMicros())
                .max()
                .orElseThrow();
    }

    /** What the server of the faults says itself: medians, but for the maximum; empty if there is none that does. */
    Optional<FaultTimes> server() {
        List<FaultTimes> own =
                counted().stream().flatMap(sample -> sample.server().stream()).toList();
        if (own.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new FaultTimes(
                own.stream().mapToLong(FaultTimes::waits).sum(),
                medianOf(own, FaultTimes::p50Micros),
                medianOf(own, FaultTimes::p99Micros),
                own.stream().mapToDouble(FaultTimes::maxMicros).max().orElseThrow()));
    }

    /** CPU seconds per GiB that was placed, of all processes together. */
    double cpuPerGib() {
        return median(FaultSample::cpuPerGib);
    }

    private List<FaultSample> counted() {
        return samples.subList(1, samples.size());
    }

    private double median(ToDoubleFunction<FaultSample> value) {
        return medianOf(counted(), value);
    }

    private static <T> double medianOf(List<T> of, ToDoubleFunction<T> value) {
        return Series.medianOf(of.stream().mapToDouble(value).sorted().boxed().toList());
    }
}
