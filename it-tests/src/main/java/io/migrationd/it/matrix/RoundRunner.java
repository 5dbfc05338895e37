package io.migrationd.it.matrix;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;

/**
 * Runs rounds, as many at once as there are lanes, each lane with daemons of its own: a round may kill them. A lane in
 * which something went wrong starts anew.
 */
public final class RoundRunner implements AutoCloseable {
    private final Path folder;
    private final ExecutorService lanes;
    private final BlockingQueue<LabLane> free = new LinkedBlockingQueue<>();
    private final List<LabLane> all = new ArrayList<>();

    /** Daemons are started with the first rounds; their files are in {@code folder}. */
    public RoundRunner(Path folder, int laneCount) {
        this.folder = folder;
        lanes = Executors.newFixedThreadPool(
                laneCount, Thread.ofPlatform().name("round-", 0).daemon().factory());
        for (int i = 0; i < laneCount; i++) {
            LabLane lane = new LabLane(folder.resolve("lane" + i));
            all.add(lane);
            free.add(lane);
        }
    }

    /** Runs a round as soon as a lane is free; rounds begin in the order of these calls. */
    public CompletableFuture<RoundResult> submit(RoundPlan plan) {
        var result = new CompletableFuture<RoundResult>();
        lanes.execute(() -> run(plan, result));
        return result;
    }

    private void run(RoundPlan plan, CompletableFuture<RoundResult> result) {
        LabLane lane = free.remove();
        try {
            lane.run(plan, result);
        } finally {
            free.add(lane);
        }
    }

    /** Where the files of all daemons are. */
    public Path folder() {
        return folder;
    }

    /** Ends all daemons and guests. */
    @Override
    public void close() {
        lanes.shutdownNow();
        all.forEach(LabLane::close);
    }
}
