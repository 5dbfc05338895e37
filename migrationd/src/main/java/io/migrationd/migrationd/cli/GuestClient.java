package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpEvent;
import io.migrationd.migrationd.qmp.QmpException;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;

/** The daemon's commands for one guest. */
record GuestClient(QmpClient daemon, String guest) {
    /** Longer than any sensible wait, and short enough to be added to the clock. */
    private static final Duration FOR_EVER = Duration.ofDays(365);

    /** What {@code --timeout 0} means. */
    static Duration timeout(long seconds) {
        return seconds == 0 ? FOR_EVER : Duration.ofSeconds(seconds);
    }

    /** A command without arguments of its own. */
    JsonObject command(String name) throws QmpException, DaemonUnreachableException {
        return command(name, Map.of());
    }

    JsonObject command(String name, Map<String, ?> arguments) throws QmpException, DaemonUnreachableException {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("guest", guest);
        all.putAll(arguments);
        return daemon.query(name, all);
    }

    MigrationView migration() throws QmpException, DaemonUnreachableException {
        return new MigrationView(command("query-migrate"));
    }

    String runState() throws QmpException, DaemonUnreachableException {
        return command("query-status").text("status").orElse("unknown");
    }

    /**
     * Looks at the migration whenever the daemon announces something of this guest, and once per interval besides.
     *
     * @param look gets every view, also the last
     * @return the first view that satisfies {@code until}, or the last one before the timeout
     */
    MigrationView await(
            Predicate<MigrationView> until, Duration timeout, Duration interval, Consumer<MigrationView> look)
            throws QmpException, DaemonUnreachableException {
        long deadline = System.nanoTime() + timeout.toNanos();
        while (true) {
            MigrationView view = migration();
            look.accept(view);
            long left = deadline - System.nanoTime();
            if (until.test(view) || left <= 0) {
                return view;
            }
            awaitEvent(Math.min(left, interval.toNanos()));
        }
    }

    private void awaitEvent(long nanos) throws DaemonUnreachableException {
        long deadline = System.nanoTime() + nanos;
        boolean other = true;
        while (other) {
            other = daemon.nextEvent(Duration.ofNanos(deadline - System.nanoTime()))
                    .flatMap(QmpEvent::guest)
                    .filter(name -> !name.equals(guest))
                    .isPresent();
        }
    }
}
