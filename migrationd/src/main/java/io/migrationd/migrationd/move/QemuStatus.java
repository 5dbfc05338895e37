package io.migrationd.migrationd.move;

/** {@code query-migrate.status}, with QEMU's names. Source: QEMU 10.0 qapi/migration.json, MigrationStatus. */
public enum QemuStatus {
    /** Not asked yet by this daemon. */
    UNKNOWN("unknown"),
    NONE("none"),
    SETUP("setup"),
    ACTIVE("active"),
    PRE_SWITCHOVER("pre-switchover"),
    /** 7.2 has it only after the gate, and not before postcopy-active. */
    DEVICE("device"),
    /** 10.2 and later. */
    POSTCOPY_DEVICE("postcopy-device"),
    POSTCOPY_ACTIVE("postcopy-active"),
    POSTCOPY_PAUSED("postcopy-paused"),
    POSTCOPY_RECOVER_SETUP("postcopy-recover-setup"),
    POSTCOPY_RECOVER("postcopy-recover"),
    COMPLETED("completed"),
    /** 11.0 and later: on the way to failed. */
    FAILING("failing"),
    FAILED("failed"),
    CANCELLING("cancelling"),
    CANCELLED("cancelled");

    private final String qmpName;

    QemuStatus(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The word of QMP. */
    public String qmpName() {
        return qmpName;
    }

    /** A word of QMP; those that mean nothing of their own to a move are mapped to the phase they belong to. */
    public static QemuStatus parse(String word) {
        for (QemuStatus status : values()) {
            if (status.qmpName.equals(word)) {
                return status;
            }
        }
        return "wait-unplug".equals(word) ? SETUP : UNKNOWN;
    }

    /** The switch to postcopy has happened, and QEMU still works on it. */
    public boolean isPostcopy() {
        return switch (this) {
            case POSTCOPY_ACTIVE, POSTCOPY_PAUSED, POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER -> true;
            case UNKNOWN,
                    NONE,
                    SETUP,
                    ACTIVE,
                    PRE_SWITCHOVER,
                    DEVICE,
                    POSTCOPY_DEVICE,
                    COMPLETED,
                    FAILING,
                    FAILED,
                    CANCELLING,
                    CANCELLED -> false;
        };
    }

    /** It sends, and has not passed the gate: {@code migrate_cancel} is safe. */
    public boolean isBeforeTheGate() {
        return this == SETUP || this == ACTIVE || this == PRE_SWITCHOVER;
    }

    /** Nothing is under way at a source with this status, and it did not work. */
    public boolean isOver() {
        return this == NONE || this == FAILED || this == CANCELLED;
    }
}
