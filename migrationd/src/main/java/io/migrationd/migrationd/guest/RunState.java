package io.migrationd.migrationd.guest;

/** QEMU's run states, as far as a guest of ours can be in them. */
public enum RunState {
    /** Its threads run. */
    RUNNING("running"),
    /** Stopped by an operator; may be continued. */
    PAUSED("paused"),
    /** Waits for an incoming migration. */
    INMIGRATE("inmigrate"),
    /** Stopped by a migration's last pass. */
    FINISH_MIGRATE("finish-migrate"),
    /** Migrated away: this copy never runs again. */
    POSTMIGRATE("postmigrate"),
    /** Its process is gone. */
    SHUTDOWN("shutdown");

    private final String qmpName;

    RunState(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in QMP and in the globalstate section. */
    public String qmpName() {
        return qmpName;
    }
}
