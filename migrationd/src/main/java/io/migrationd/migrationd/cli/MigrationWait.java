package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;

/** Waits for the end of a migration, shows how far it is, and tells a person who interrupts that it goes on. */
final class MigrationWait {
    private final MigrationctlMain main;
    private final String guest;
    private final String afterInterrupt;
    private String status = "";

    /** @param afterInterrupt what the migration does when nobody waits for it any more */
    MigrationWait(MigrationctlMain main, String guest, String afterInterrupt) {
        this.main = main;
        this.guest = guest;
        this.afterInterrupt = afterInterrupt;
    }

    /** The view at the end, or the last one before the timeout. */
    MigrationView await(GuestClient client, Duration timeout) throws QmpException, DaemonUnreachableException {
        Thread note = new Thread(this::interrupted, "interrupt-note");
        Runtime.getRuntime().addShutdownHook(note);
        try (ProgressLine progress = new ProgressLine(main.terminal())) {
            return client.await(
                    MigrationView::ended, timeout, main.terminal().progressInterval(), view -> show(progress, view));
        } finally {
            forget(note);
        }
    }

    private void show(ProgressLine progress, MigrationView view) {
        boolean changed = !view.status().equals(status);
        status = view.status();
        if (changed && status.equals("pre-switchover")) {
            progress.note("%s stands still before the switchover; go on with: migrationctl continue %s"
                    .formatted(guest, guest));
        }
        if (changed && status.equals("postcopy-paused")) {
            progress.note("%s has lost its connection; it runs at the destination as far as its memory is there"
                    .formatted(guest));
        }
        if (!view.ended()) {
            progress.show(MigrationText.progress(guest, view));
        }
    }

    private void interrupted() {
        main.terminal().err().println();
        main.terminal()
                .err()
                .println("migrationctl: stopped waiting; the migration of %s %s. See: migrationctl status %s"
                        .formatted(guest, afterInterrupt, guest));
    }

    private static void forget(Thread note) {
        try {
            boolean _ = Runtime.getRuntime().removeShutdownHook(note);
        } catch (IllegalStateException _) {
            // The hook is running or has run: it said what it had to say.
        }
    }
}
