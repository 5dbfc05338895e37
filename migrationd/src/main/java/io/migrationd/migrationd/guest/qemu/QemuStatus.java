package io.migrationd.migrationd.guest.qemu;

import java.util.Arrays;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/** QEMU's migration status. Wire source: QEMU 10.0 qapi/migration.json, MigrationStatus; later ones from 11.1. */
public enum QemuStatus {
    /** Nothing ever happened. */
    NONE("none"),
    /** Connecting. */
    SETUP("setup"),
    /** A cancel is under way. */
    CANCELLING("cancelling"),
    /** Cancelled: the guest is where it was. */
    CANCELLED("cancelled"),
    /** Precopy. */
    ACTIVE("active"),
    /** Memory follows a guest that has moved. */
    POSTCOPY_ACTIVE("postcopy-active"),
    /** The destination loads the package: 10.2 and later. */
    POSTCOPY_DEVICE("postcopy-device"),
    /** The connection was lost in postcopy. */
    POSTCOPY_PAUSED("postcopy-paused"),
    /** A recovery connects: 9.1 and later. */
    POSTCOPY_RECOVER_SETUP("postcopy-recover-setup"),
    /** A recovery agrees on what is missing. */
    POSTCOPY_RECOVER("postcopy-recover"),
    /** Done. */
    COMPLETED("completed"),
    /** About to be failed: 11.x. */
    FAILING("failing"),
    /** Failed. */
    FAILED("failed"),
    /** Fault tolerance, not ours. */
    COLO("colo"),
    /** Stopped at the gate. */
    PRE_SWITCHOVER("pre-switchover"),
    /** Past the gate: the rest and the devices are sent. */
    DEVICE("device"),
    /** Waits until a device is unplugged. */
    WAIT_UNPLUG("wait-unplug"),
    /** A name that this version does not know. */
    UNKNOWN("unknown");

    private static final Map<String, QemuStatus> BY_NAME =
            Arrays.stream(values()).collect(Collectors.toUnmodifiableMap(QemuStatus::qmpName, Function.identity()));

    private final String qmpName;

    QemuStatus(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in QMP. */
    public String qmpName() {
        return qmpName;
    }

    /** The status of that name, {@link #UNKNOWN} if there is none. */
    public static QemuStatus named(String qmpName) {
        return BY_NAME.getOrDefault(qmpName, UNKNOWN);
    }

    /** Nothing is under way, so that a migration may begin: capabilities may be changed. */
    public boolean isIdle() {
        return switch (this) {
            case NONE, CANCELLED, COMPLETED, FAILED -> true;
            case SETUP,
                    CANCELLING,
                    ACTIVE,
                    POSTCOPY_ACTIVE,
                    POSTCOPY_DEVICE,
                    POSTCOPY_PAUSED,
                    POSTCOPY_RECOVER_SETUP,
                    POSTCOPY_RECOVER,
                    FAILING,
                    COLO,
                    PRE_SWITCHOVER,
                    DEVICE,
                    WAIT_UNPLUG,
                    UNKNOWN -> false;
        };
    }
}
