package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;

/** Waits for the end of a move and shows how far it is. The move goes on by itself if nobody waits. */
final class MoveWait {
    private final MigrationctlMain main;
    private final GuestClient client;
    private boolean linkDown;
    private long failedAttempt;

    MoveWait(MigrationctlMain main, GuestClient client) {
        this.main = main;
        this.client = client;
    }

    /** The view at the end, or the last one before the timeout. */
    MoveView await(Duration timeout) throws QmpException, DaemonUnreachableException {
        long deadline = System.nanoTime() + timeout.toNanos();
        try (ProgressLine progress = new ProgressLine(main.terminal())) {
            while (true) {
                MoveView view = new MoveView(client.command("move-show"));
                show(progress, view);
                long left = deadline - System.nanoTime();
                if (view.ended() || left <= 0) {
                    return view;
                }
                long interval = main.terminal().progressInterval().toNanos();
                var _ = client.daemon().nextEvent(Duration.ofNanos(Math.min(left, interval)));
            }
        }
    }

    private void show(ProgressLine progress, MoveView view) {
        if (view.linkIsDown() != linkDown) {
            linkDown = view.linkIsDown();
            progress.note(
                    linkDown
                            ? "%s: the link to the other host is down; both QEMUs are held, nothing is lost"
                                    .formatted(view.guest())
                            : "%s: the link is up again".formatted(view.guest()));
        }
        if (view.isTriedAgain() && view.attempt() != failedAttempt) {
            failedAttempt = view.attempt();
            progress.note(view.message());
        }
        if (!view.ended()) {
            progress.show(MoveText.progress(view));
        }
    }
}
