package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;

/**
 * The guest runs at the destination and half of its memory is at the source when the link breaks, and again when the
 * destination's daemon is killed. Nobody does anything about it.
 */
final class DemoRecovery {
    private static final Duration CUT = Duration.ofSeconds(5);
    private static final long LINK_BYTES_PER_SECOND = 32 << 20;

    private DemoRecovery() {}

    static DemoResult run(DemoStage stage, String listenUri, long downtimeLimitMillis)
            throws DemoException, QmpException, DaemonUnreachableException {
        stage.start();
        DemoPostcopy.switchOn(stage);
        try (DemoLink link = DemoLink.open(stage.listen(listenUri), LINK_BYTES_PER_SECOND)) {
            stage.migrate(link.uri(), DemoPostcopy.limits(0, downtimeLimitMillis));
            awaitLeft(stage, 0.75);
            cut(stage, link);
            awaitLeft(stage, 0.5);
            stage.say("killing the destination's daemon and starting it again");
            stage.killDestinationDaemon();
            return stage.verify(DemoScenario.RECOVERY, link.uri(), stage.await(MigrationView::ended));
        }
    }

    private static void cut(DemoStage stage, DemoLink link)
            throws DemoException, QmpException, DaemonUnreachableException {
        stage.say("cutting the link for %d s".formatted(CUT.toSeconds()));
        long start = System.nanoTime();
        link.cut();
        MigrationView broken = stage.await(MigrationView::paused);
        refuseEnd(broken);
        stage.say("the source noticed: " + broken.status());
        stage.pass(CUT.minusNanos(System.nanoTime() - start));
        link.restore();
        long restored = System.nanoTime();
        refuseEnd(stage.await(view -> view.status().equals("postcopy-active")));
        stage.say("postcopy goes on %d ms after the link came back"
                .formatted(Duration.ofNanos(System.nanoTime() - restored).toMillis()));
    }

    /** Until postcopy runs and at most this share of the memory is at the source only. */
    private static void awaitLeft(DemoStage stage, double share)
            throws DemoException, QmpException, DaemonUnreachableException {
        refuseEnd(stage.await(view -> view.status().equals("postcopy-active")
                && view.ram().number("remaining").orElse(0)
                        <= share * view.ram().number("total").orElse(0)));
    }

    private static void refuseEnd(MigrationView view) throws DemoException {
        if (view.ended()) {
            throw new DemoException("the migration is %s before everything was shown: %s"
                    .formatted(view.status(), view.error().orElse("no reason given")));
        }
    }
}
