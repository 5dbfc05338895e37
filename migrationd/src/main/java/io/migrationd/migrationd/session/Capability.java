package io.migrationd.migrationd.session;

import java.util.Arrays;
import java.util.Optional;

/** Switches of a migration, with QEMU's names. Wire source: QEMU 10.0 qapi/migration.json, MigrationCapability. */
public enum Capability {
    /** Emit MIGRATION events. Ours are always emitted; the switch exists for clients that set it. */
    EVENTS("events", true),
    /** The source opens the return path and completes only on SHUT. */
    RETURN_PATH("return-path", true),
    /** Delta pages after the first pass. */
    XBZRLE("xbzrle", true),
    /** The source waits, stopped, for migrate-continue before the last pass. */
    PAUSE_BEFORE_SWITCHOVER("pause-before-switchover", true),
    /** The source switches over only after the destination agreed. */
    SWITCHOVER_ACK("switchover-ack", true),
    /** The configuration section carries the guest's uuid. */
    VALIDATE_UUID("validate-uuid", true),
    /** The guest may be started at the destination before all of its RAM is there. */
    POSTCOPY_RAM("postcopy-ram", true),
    /** Pages that the guest waits for come on a connection of their own. */
    POSTCOPY_PREEMPT("postcopy-preempt", true),
    /** Known to QEMU, refused here. */
    MULTIFD("multifd", false),
    X_IGNORE_SHARED("x-ignore-shared", false),
    MAPPED_RAM("mapped-ram", false);

    private final String qmpName;
    private final boolean supported;

    Capability(String qmpName, boolean supported) {
        this.qmpName = qmpName;
        this.supported = supported;
    }

    /** The name in QMP and in the configuration section. */
    public String qmpName() {
        return qmpName;
    }

    /** Whether this daemon can switch it on. Others are known by name only, so that a peer's stream is understood. */
    public boolean supported() {
        return supported;
    }

    /** The capability of that name, if we know it. */
    public static Optional<Capability> named(String qmpName) {
        return Arrays.stream(values()).filter(c -> c.qmpName.equals(qmpName)).findFirst();
    }
}
