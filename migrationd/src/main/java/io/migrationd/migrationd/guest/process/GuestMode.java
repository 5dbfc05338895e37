package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.RunState;
import java.util.Locale;

/** Where a VMM says that its guest stands: the member {@code mode} of a hello and of a status reply. */
public enum GuestMode {
    /** Its threads run. */
    RUNNING(RunState.RUNNING),
    /** Its threads are parked and may be resumed. */
    PAUSED(RunState.PAUSED),
    /** It holds no state and waits for a migration. */
    INCOMING(RunState.INMIGRATE),
    /** It has migrated away and never runs again. */
    RELEASED(RunState.POSTMIGRATE);

    private final RunState runState;

    GuestMode(RunState runState) {
        this.runState = runState;
    }

    /** The run state of a guest of which we know nothing else. */
    public RunState runState() {
        return runState;
    }

    /** The word in JSON. */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
