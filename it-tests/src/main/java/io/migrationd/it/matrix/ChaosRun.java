package io.migrationd.it.matrix;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/** Many rounds with random schedules, from one seed. */
public final class ChaosRun {
    private ChaosRun() {}

    /**
     * What came of it.
     *
     * @param bad the rounds with which something is wrong
     */
    public record Summary(
            long seed,
            int rounds,
            long recoveries,
            long atSource,
            long atDestination,
            List<RoundResult> bad,
            long millis) {
        @Override
        public String toString() {
            return "postcopy chaos: seed %d, %d rounds in %.0f s, %d wrong; guest %d times at the source, %d at the destination; %d recoveries"
                    .formatted(seed, rounds, millis / 1e3, bad.size(), atSource, atDestination, recoveries);
        }
    }

    /**
     * Runs rounds in {@code lanes} lanes.
     *
     * @param say gets a line for each round, and all that is known of a bad one
     */
    public static Summary run(long seed, int rounds, int lanes, Path folder, Consumer<String> say) {
        long[] seeds = IntStream.range(0, rounds)
                .mapToLong(round -> ChaosPlan.seedOf(seed, round))
                .toArray();
        return run(seed, seeds, lanes, folder, say);
    }

    /** As the other, with the seeds of the rounds themselves. */
    static Summary run(long seed, long[] seeds, int lanes, Path folder, Consumer<String> say) {
        long start = System.nanoTime();
        List<RoundResult> results = new ArrayList<>();
        try (RoundRunner runner = new RoundRunner(folder, lanes)) {
            List<CompletableFuture<RoundResult>> running = new ArrayList<>();
            for (int round = 0; round < seeds.length; round++) {
                running.add(runner.submit(ChaosPlan.of("c%d-%x".formatted(round, seeds[round]), seeds[round])));
            }
            for (int round = 0; round < seeds.length; round++) {
                RoundResult result = running.get(round).join();
                results.add(result);
                String text = result.isGood() ? result.line() : bad(seeds[round], result);
                say.accept("chaos %d/%d: %s".formatted(round + 1, seeds.length, text));
            }
        }
        return new Summary(
                seed,
                seeds.length,
                results.stream().mapToLong(RoundResult::recoveries).sum(),
                results.stream()
                        .filter(result -> result.ending() == Ending.SOURCE)
                        .count(),
                results.stream()
                        .filter(result -> result.ending() == Ending.DESTINATION)
                        .count(),
                results.stream().filter(result -> !result.isGood()).toList(),
                (System.nanoTime() - start) / 1_000_000);
    }

    private static String bad(long roundSeed, RoundResult result) {
        return "%s%n  again: bin/chaos --round-seed %d --rounds 20".formatted(result.details(), roundSeed);
    }
}
