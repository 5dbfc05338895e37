package io.migrationd.migrationd.move;

/**
 * What QEMU answered to {@code query-migrate} and {@code query-status}, in this order, or an equal pair of events. An
 * event alone is no fact: 7.2 and 10.0 announce postcopy-active before they have loaded the package. Behind that, and
 * of a QEMU that answers to nothing, it is: {@link TargetPhase#areEventsFacts}.
 *
 * @param status of the migration
 * @param vcpus whether the guest runs
 */
public record QemuFact(QemuStatus status, Vcpus vcpus) {
    /** Nothing was asked yet. */
    public static final QemuFact UNKNOWN = new QemuFact(QemuStatus.UNKNOWN, Vcpus.STOPPED);

    /** A destination that has all it needs to let the guest run: all of it, or all but pages that it can ask for. */
    public boolean isLoaded() {
        return vcpus != Vcpus.INCOMING && (status == QemuStatus.COMPLETED || status.isPostcopy());
    }

    /** Known to run. */
    public boolean isRunning() {
        return vcpus == Vcpus.RUNNING && status != QemuStatus.UNKNOWN;
    }

    /** Known not to run. */
    public boolean isStopped() {
        return vcpus != Vcpus.RUNNING && status != QemuStatus.UNKNOWN;
    }
}
