package io.migrationd.it.matrix;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;

/** One lab, replaced when a round has spoilt it. One round at a time. */
final class LabLane implements AutoCloseable {
    private final Path folder;
    private final ExecutorService retiring = Executors.newCachedThreadPool(
            Thread.ofPlatform().name("retire-", 0).daemon().factory());
    private final List<CompletableFuture<RoundResult>> pending = new ArrayList<>();
    private @Nullable Lab lab;
    private int labs;

    LabLane(Path folder) {
        this.folder = folder;
    }

    /** Returns when the next round may begin; {@code promised} is completed some seconds later. */
    void run(RoundPlan plan, CompletableFuture<RoundResult> promised) {
        if (plan.kills()) {
            awaitPending();
        }
        Lab here;
        PostcopyRound round;
        RoundResult result;
        try {
            here = lab();
            round = new PostcopyRound(here, plan);
            result = round.run();
        } catch (Exception e) {
            awaitPending();
            renew();
            promised.complete(broken(plan, e));
            return;
        }
        retiring.execute(() -> promised.complete(retire(here, round, result)));
        pending.removeIf(CompletableFuture::isDone);
        pending.add(promised);
        if (!result.isGood() || plan.kills()) {
            awaitPending();
        }
        if (!result.isGood()) {
            renew();
        }
    }

    private void awaitPending() {
        pending.forEach(CompletableFuture::join);
        pending.clear();
    }

    private static RoundResult retire(Lab lab, PostcopyRound round, RoundResult result) {
        List<String> problems = new ArrayList<>(result.problems());
        try {
            problems.addAll(round.retire(result));
        } catch (Exception e) {
            problems.add("afterwards: " + e);
        }
        if (problems.isEmpty()) {
            return result;
        }
        List<String> history = new ArrayList<>(result.history());
        try {
            history.add(lab.log(result.name()));
        } catch (IOException e) {
            history.add("no logs: " + e);
        }
        return result.with(problems, history);
    }

    private static RoundResult broken(RoundPlan plan, Exception e) {
        return new RoundResult(
                plan.name(),
                Ending.EITHER,
                List.of("the round broke: " + e),
                List.of(),
                List.of(),
                "",
                List.of(),
                0,
                0,
                List.of(),
                List.of());
    }

    private Lab lab() throws Exception {
        if (lab == null) {
            lab = Lab.start(folder.resolve(Integer.toString(labs++)));
        }
        return lab;
    }

    private void renew() {
        if (lab != null) {
            lab.close();
            lab = null;
        }
    }

    @Override
    public void close() {
        retiring.shutdownNow();
        renew();
    }
}
