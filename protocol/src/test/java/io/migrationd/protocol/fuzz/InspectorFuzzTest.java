package io.migrationd.protocol.fuzz;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.Fixtures;
import io.migrationd.protocol.inspect.InspectInput;
import io.migrationd.protocol.inspect.InspectItem;
import io.migrationd.protocol.inspect.InspectOptions;
import io.migrationd.protocol.inspect.InspectResult;
import io.migrationd.protocol.inspect.ItemJson;
import io.migrationd.protocol.inspect.ItemText;
import io.migrationd.protocol.inspect.StreamInspector;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Damaged captures: whatever the bytes, the inspector ends with a result, in time and memory that the input bounds.
 * With {@code -Dmigrationd.fuzz.seconds=60} its two threads work that long together, with new seeds;
 * {@code -Dmigrationd.fuzz.seed} repeats one.
 */
@DisplayName("The inspector, given damaged captures,")
class InspectorFuzzTest {
    private static final int THREADS = 2;
    /** Of each thread. */
    private static final int ROUNDS = 200;

    private static final long MAX_ALLOCATED_BYTES = 128L << 20;
    /** Lines are garbage as soon as they are shown, so their number may be anything that the input's size allows. */
    private static final long MAX_ALLOCATED_BYTES_PER_ITEM = 20_000;

    private static final Duration MAX_DURATION = Duration.ofSeconds(20);

    private record Capture(String name, byte[] bytes, long[] places) {}

    @Test
    void endsWithAResult() throws IOException, InterruptedException, ExecutionException {
        long seconds = Long.getLong("migrationd.fuzz.seconds", 0);
        long seed = Long.getLong("migrationd.fuzz.seed", seconds > 0 ? System.nanoTime() : 1);
        System.out.printf("InspectorFuzzTest: migrationd.fuzz.seed=%d%n", seed);
        List<Capture> captures = captures();
        Duration each = Duration.ofSeconds(seconds).dividedBy(THREADS);
        int faults = 0;
        // Not the common pool: on two cores it has one thread.
        try (ExecutorService threads = Executors.newFixedThreadPool(THREADS)) {
            List<Future<Integer>> results = new ArrayList<>();
            for (int thread = 0; thread < THREADS; thread++) {
                long own = seed + thread;
                results.add(threads.submit(() -> damageAndInspect(captures, own, each)));
            }
            for (Future<Integer> result : results) {
                faults += result.get();
            }
        }
        assertThat(faults).as("damage that was noticed").isPositive();
    }

    /** For that time, or for {@link #ROUNDS} without one; how often damage was noticed. */
    private static int damageAndInspect(List<Capture> captures, long seed, Duration time) {
        StreamMutator mutator = new StreamMutator(seed);
        long deadline = System.nanoTime() + time.toNanos();
        int faults = 0;
        for (int round = 0; time.isPositive() ? System.nanoTime() < deadline : round < ROUNDS; round++) {
            Capture capture = captures.get(round % captures.size());
            Capture donor = captures.get((round * 7 + 3) % captures.size());
            byte[] damaged = mutator.mutate(capture.bytes(), capture.places(), donor.bytes());
            faults += inspect(
                    damaged, "seed %d, round %d, %s: %s".formatted(seed, round, capture.name(), mutator.changes()));
        }
        return faults;
    }

    /** 1 if the damage was noticed. */
    private static int inspect(byte[] damaged, String what) {
        long startNanos = System.nanoTime();
        long before = allocatedBytes();
        long[] items = {0};
        InspectResult result;
        try {
            result = StreamInspector.inspect(InspectInput.of(damaged), InspectOptions.DEFAULT, item -> {
                items[0]++;
                show(item);
            });
            ItemJson.line(result);
        } catch (IOException | RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
        assertThat(allocatedBytes() - before)
                .as("bytes allocated, " + what)
                .isLessThan(MAX_ALLOCATED_BYTES + items[0] * MAX_ALLOCATED_BYTES_PER_ITEM);
        assertThat(Duration.ofNanos(System.nanoTime() - startNanos)).as(what).isLessThan(MAX_DURATION);
        return result.fault().isPresent() ? 1 : 0;
    }

    private static void show(InspectItem item) throws IOException {
        assertThat(ItemText.line(item).chars().allMatch(c -> c >= ' ' && c < 0x7f))
                .as("one line that can be printed")
                .isTrue();
        ItemJson.line(item);
    }

    private static long allocatedBytes() {
        return ((com.sun.management.ThreadMXBean) ManagementFactory.getThreadMXBean()).getCurrentThreadAllocatedBytes();
    }

    private static List<Capture> captures() throws IOException {
        List<Capture> captures = new ArrayList<>();
        for (Fixtures.Run run : Fixtures.manifest().values()) {
            for (String file : run.files().keySet()) {
                byte[] bytes = Fixtures.read(file);
                List<Long> places = new ArrayList<>();
                StreamInspector.inspect(
                        InspectInput.of(bytes), InspectOptions.DEFAULT, item -> places.add(item.offset()));
                captures.add(new Capture(
                        file, bytes, places.stream().mapToLong(Long::longValue).toArray()));
            }
        }
        return captures;
    }
}
